"""Places for calls in flight: how many each limit has given out, over all workers of a host.

One file that every worker maps, a row a limit; in a row each worker writes its own cells and reads the others', so
that a killed worker's places go when its successor starts. A byte-range lock orders decisions near the limit.
Without a file the table is this process's alone. CLOCK_MONOTONIC is the same in all workers.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_COUNT = struct.Struct("H")
_TIME = struct.Struct("d")
_MOST = 0xFFFF
_INITIAL_SLOTS = 4096
# What a worker says of its queue holds for so long; one that stands still or was killed stops nobody.
FRESH_S = 0.1


class Places:
    """The table. A row: each worker's places taken, its calls that wait, since when the oldest, when it last said so.

    Args: path: the shared file, or None; index: this worker's number from 0; workers: how many there are.
    """

    def __init__(self, path: Path | None, index: int = 0, workers: int = 1) -> None:
        self.shared = path is not None and workers > 1
        self._workers = workers = workers if path is not None else 1
        self._index = index if path is not None else 0
        self._cells = struct.Struct(f"{2 * workers}H")
        self._times = struct.Struct(f"{workers}d")
        self._first_time = -(-self._cells.size // _TIME.size) * _TIME.size
        self._row = self._first_time + 2 * self._times.size
        self._own = self._index * _COUNT.size
        self._own_waiting = (workers + self._index) * _COUNT.size
        self._own_since = self._first_time + self._index * _TIME.size
        self._own_said = self._own_since + self._times.size
        self._fd = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._table: mmap.mmap
        self._counts: memoryview  # the same, as counts
        self._slots = 0
        self._grow(_INITIAL_SLOTS)
        self._forget_predecessor()

    def _grow(self, slots: int) -> None:
        size = slots * self._row
        if self._fd < 0:
            table = mmap.mmap(-1, size)
            if self._slots:
                table[: self._slots * self._row] = self._table[:]
        else:
            with self._locked(1 << 40):
                size = max(size, os.fstat(self._fd).st_size // self._row * self._row)
                os.ftruncate(self._fd, size)
            table = mmap.mmap(self._fd, size)
        self._table, self._slots = table, size // self._row
        self._counts = memoryview(table).cast("H")

    def _forget_predecessor(self) -> None:
        """Clear the cells of the worker that had this number before; it was killed, or ended with its calls."""
        for row in range(0, self._slots * self._row, self._row):
            for cell in (self._own, self._own_waiting):
                _COUNT.pack_into(self._table, row + cell, 0)
            for cell in (self._own_since, self._own_said):
                _TIME.pack_into(self._table, row + cell, 0.0)

    @contextmanager
    def _locked(self, byte: int) -> Iterator[None]:
        if self._fd >= 0 and (self.shared or byte >= 1 << 40):
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, byte)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)
        else:
            yield

    def _add(self, cell: int, change: int) -> None:
        number = cell // _COUNT.size
        self._counts[number] = max(0, min(_MOST, self._counts[number] + change))

    def take(self, slot: int, most: int, now: float) -> bool:
        """Take a place if fewer than `most` are taken and nobody waits; `now` is seconds of the monotonic clock.

        Far from the limit no lock is needed: a worker adds before it looks, so it can overlook at most one place of
        each other worker, and that many are left.
        """
        if slot >= self._slots:
            self._grow(slot * 2)
        row, counts = slot * self._row, self._counts
        own = row // _COUNT.size + self._index
        count = counts[own]
        counts[own] = count + 1 if count < _MOST else _MOST
        if sum(self._cells.unpack_from(self._table, row)) + self._workers - 1 <= most:
            return True
        counts[own] = count
        return self.claim(slot, most, now, now)

    def claim(self, slot: int, most: int, since: float, now: float) -> bool:
        """Take a place for somebody who came at `since`, unless all are taken or another worker's call came before."""
        row = slot * self._row
        with self._locked(slot):
            taken = sum(self._cells.unpack_from(self._table, row)[: self._workers])
            if taken >= most or any(other < since for other in self._waiting_since(row, now)):
                return False
            self._add(row + self._own, 1)
            return True

    def _waiting_since(self, row: int, now: float) -> list[float]:
        """Return since when the oldest call of each other worker waits that has any and has lately said so."""
        if not self.shared:
            return []
        since = self._times.unpack_from(self._table, row + self._first_time)
        said = self._times.unpack_from(self._table, row + self._first_time + self._times.size)
        return [
            moment
            for number, moment in enumerate(since)
            if number != self._index and moment and -FRESH_S <= now - said[number] <= FRESH_S
        ]

    def give_back(self, slot: int) -> None:
        """Give a place back."""
        own = slot * self._row // _COUNT.size + self._index
        if count := self._counts[own]:
            self._counts[own] = count - 1

    def enqueue(self, slot: int, most: int, now: float) -> bool:
        """Count one more waiting call, unless `most` wait already in the workers that are alive."""
        row = slot * self._row
        with self._locked(slot):
            waiting = self._cells.unpack_from(self._table, row)[self._workers :]
            said = self._times.unpack_from(self._table, row + self._first_time + self._times.size)
            total = sum(
                count
                for number, count in enumerate(waiting)
                if number == self._index or -FRESH_S <= now - said[number] <= FRESH_S
            )
            if total >= most:
                return False
            self._add(row + self._own_waiting, 1)
            return True

    def dequeue(self, slot: int) -> None:
        """Count one waiting call less."""
        self._add(slot * self._row + self._own_waiting, -1)

    def say(self, slot: int, since: float, now: float) -> None:
        """Tell the other workers since when the oldest call of this one waits; 0: none does."""
        row = slot * self._row
        _TIME.pack_into(self._table, row + self._own_said, now)
        _TIME.pack_into(self._table, row + self._own_since, since)

    def taken(self, slot: int) -> int:
        """Return how many places are taken in all workers."""
        if slot >= self._slots:
            return 0
        return sum(self._cells.unpack_from(self._table, slot * self._row)[: self._workers])

    def waiting(self, slot: int) -> int:
        """Return how many calls wait in all workers."""
        if slot >= self._slots:
            return 0
        return sum(self._cells.unpack_from(self._table, slot * self._row)[self._workers :])

    def close(self) -> None:
        """Give the file back. The table goes with this object: a call that ends later still counts down."""
        self.shared = False
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
