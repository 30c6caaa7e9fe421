"""Advisory locks on files (flock): the kernel drops them when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def take(path: Path, *, shared: bool = False) -> int:
    """Lock `path` (made when missing), waiting for it, and return the descriptor that holds the lock.

    Close the descriptor to release it. Children that are exec'ed do not inherit it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def try_take(path: Path, *, shared: bool = False) -> int | None:
    """Like `take`, but return None at once when somebody else holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(path: Path) -> bool:
    """Return whether somebody holds `path` exclusively at this moment."""
    descriptor = try_take(path, shared=True)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock on `path` for the length of a `with` block; waits for it."""
    descriptor = take(path, shared=shared)
    try:
        yield
    finally:
        os.close(descriptor)
