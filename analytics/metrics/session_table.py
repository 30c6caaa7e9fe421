"""The MCP sessions that clients hold, for a gauge: each worker notes when it saw one last, in a file that others read.

Several workers may serve one session; whoever is asked counts it once, by what was noted last. A killed worker's
notes stay until its successor begins anew.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

ACTIVE_S = 300.0  # who has not been seen for so long may have left without a word
SLOTS = 1 << 14
# Of a note: the session's digest, and when it was seen (monotonic clock); below 0: when it ended.
_NOTE = np.dtype([("digest", "u8"), ("seen", "f8")])
_BYTES = SLOTS * _NOTE.itemsize
_PREFIX = "sessions-"


class SessionTable:
    """What one worker has seen. With more than SLOTS sessions in five minutes it counts no further ones."""

    def __init__(self, directory: Path | None = None, index: int = 0) -> None:
        """Begin with nothing. Args: directory: made when missing; None keeps the notes to this process."""
        self._fd = -1
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._fd = os.open(directory / f"{_PREFIX}{index}", flags, 0o600)
            os.ftruncate(self._fd, _BYTES)
        self._table = mmap.mmap(self._fd, _BYTES)
        # The same bytes: digests at the even places of one, moments at the odd places of the other.
        self._digests, self._seen = memoryview(self._table).cast("Q"), memoryview(self._table).cast("d")
        self._slots: dict[str, int] = {}  # by digest, the place of the moment
        self._free = list(range(2 * SLOTS - 1, 0, -2))

    def note(self, digest: str, now: float) -> None:
        """Note that the session was seen. Args: digest: 16 hex digits; now: seconds of the monotonic clock."""
        slot = self._slots.get(digest)
        if slot is not None:
            self._seen[slot] = now
        elif self._free or self._sweep(now):
            slot = self._slots[digest] = self._free.pop()
            self._digests[slot - 1], self._seen[slot] = int(digest, 16), now

    def end(self, digest: str, now: float) -> None:
        """Note that the session is over."""
        self.note(digest, -now)

    def _sweep(self, now: float) -> bool:
        """Give the places of those free that were not seen for long; return whether there are any."""
        before = abs(now) - ACTIVE_S
        for digest, slot in list(self._slots.items()):
            if abs(self._seen[slot]) < before:
                del self._slots[digest]
                self._digests[slot - 1], self._seen[slot] = 0, 0.0
                self._free.append(slot)
        return bool(self._free)

    def read(self) -> bytes:
        """Return the notes, as `active` takes them."""
        return bytes(self._table)

    def close(self) -> None:
        """Give the file back."""
        self._digests.release()
        self._seen.release()
        self._table.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def active(tables: Iterable[bytes], now: float | None = None) -> int:
    """Return how many sessions were seen in the last five minutes, and did not end since."""
    now = time.monotonic() if now is None else now
    notes = np.frombuffer(b"".join(tables), _NOTE)
    notes = notes[(np.abs(notes["seen"]) > now - ACTIVE_S) & (notes["digest"] != 0)]
    notes = notes[np.lexsort((np.abs(notes["seen"]), notes["digest"]))]
    is_last = np.append(notes["digest"][1:] != notes["digest"][:-1], True)[: len(notes)]
    return int(((notes["seen"] > 0) & is_last).sum())


def read(directory: Path) -> list[bytes]:
    """Return the notes of all workers of the host."""
    tables = [path.read_bytes() for path in sorted(directory.glob(f"{_PREFIX}*"))]
    return [table for table in tables if len(table) == _BYTES]  # one that is just being made is empty


class _OfProcess:
    table: SessionTable | None = None


def open_for_process(directory: Path | None, index: int) -> SessionTable:
    """Open this process's notes and remember them for `active_here`."""
    _OfProcess.table = SessionTable(directory, index)
    return _OfProcess.table


def active_here(directory: Path | None) -> int:
    """Return how many sessions are active on this host, as far as this process can know.

    Args: directory: where the workers count; None when this process does so for itself.
    """
    if directory is not None:
        return active(read(directory))
    return active([_OfProcess.table.read()]) if _OfProcess.table is not None else 0
