"""The circuit breakers' states, a row an upstream, in a file that all processes of a host map.

The data plane decides (`proxy.breaker`); pages and figures read here. Without a file the table is this process's
alone. Moments are seconds of CLOCK_MONOTONIC, which is the same in all processes.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

FILE = "circuits"
CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
_ROW = struct.Struct("dddQIHHHH")
_MOMENT = struct.Struct("d")
_COUNT = struct.Struct("H")
_FAILURES_AT = struct.calcsize("dddQI")
_INITIAL_ROWS = 1024


@dataclass(slots=True)
class Circuit:
    """One row.

    `opened_at` is 0 while closed; probes may go from `retry_at` on. `notice` is the last passing check that was
    heeded, `phase` numbers the half-open phases; in one of them `granted` probes went, the last at `granted_at`,
    and `succeeded` of them did.
    """

    opened_at: float = 0.0
    retry_at: float = 0.0
    granted_at: float = 0.0
    notice: int = 0
    phase: int = 0
    failures: int = 0  # in a row
    half_open: int = 0
    granted: int = 0
    succeeded: int = 0

    @property
    def state(self) -> str:
        """`closed`, `open` or `half_open`."""
        if not self.opened_at:
            return CLOSED
        return HALF_OPEN if self.half_open else OPEN


class CircuitTable:
    """The table. Args: path: the shared file, or None for one of this process's own; alone: nobody else has it."""

    def __init__(self, path: Path | None, *, alone: bool = False) -> None:
        self._locks = path is not None and not alone
        self._fd = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._table: mmap.mmap
        self._rows = 0
        self._grow(_INITIAL_ROWS)

    def _grow(self, rows: int) -> None:
        size = rows * _ROW.size
        if self._fd < 0:
            table = mmap.mmap(-1, size)
            if self._rows:
                table[: self._rows * _ROW.size] = self._table[:]
        else:
            size = max(size, os.fstat(self._fd).st_size)
            os.posix_fallocate(self._fd, 0, size)  # never shrinks what another process has grown meanwhile
            table = mmap.mmap(self._fd, size)
        self._table, self._rows = table, size // _ROW.size

    def opened_at(self, number: int) -> float:
        """Return when a circuit opened; 0 while it is closed. Cheap."""
        if number >= self._rows:
            self._grow(number * 2)
        opened: float = _MOMENT.unpack_from(self._table, number * _ROW.size)[0]
        return opened

    def failures(self, number: int) -> int:
        """Return how many calls have failed in a row. Cheap; `opened_at` was asked before."""
        failed: int = _COUNT.unpack_from(self._table, number * _ROW.size + _FAILURES_AT)[0]
        return failed

    def read(self, number: int) -> Circuit:
        """Return a row."""
        if number >= self._rows:
            self._grow(number * 2)
        return Circuit(*_ROW.unpack_from(self._table, number * _ROW.size))

    @contextmanager
    def changing(self, number: int) -> Iterator[Circuit]:
        """Yield a row to change, with all other processes kept out, and write it back."""
        if number >= self._rows:
            self._grow(number * 2)
        if self._locks:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, number)
        try:
            row = self.read(number)
            yield row
            cells = (row.opened_at, row.retry_at, row.granted_at, row.notice, row.phase, row.failures)
            _ROW.pack_into(self._table, number * _ROW.size, *cells, row.half_open, row.granted, row.succeeded)
        finally:
            if self._locks:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)

    def close(self) -> None:
        """Give the file back. The table goes with this object: a call that ends later still finds it."""
        self._locks = False
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@dataclass(frozen=True, slots=True)
class Seen:
    """A circuit as people see it. `open_s`: for how long not closed; `retry_s`: until the next probe; 0: now."""

    state: str
    failures: int
    open_s: float
    retry_s: float


def seen(upstream_ids: Iterable[int], directory: Path | None = None) -> dict[int, Seen]:
    """Return the circuits of this host, for pages, health and metrics; reads only.

    Args: directory: where the workers' file lies; GATEWAY_DATA_DIR/run when None.
    """
    now = time.monotonic()
    found = {number: Seen(CLOSED, 0, 0.0, 0.0) for number in upstream_ids}
    try:
        content = ((directory or settings.RUN_DIR) / FILE).read_bytes()
    except OSError:
        return found  # no gateway has served here yet
    for number in found:
        if (number + 1) * _ROW.size <= len(content):
            row = Circuit(*_ROW.unpack_from(content, number * _ROW.size))
            open_s = max(0.0, now - row.opened_at) if row.opened_at else 0.0
            waits = row.state == OPEN
            found[number] = Seen(row.state, row.failures, open_s, max(0.0, row.retry_at - now) if waits else 0.0)
    return found
