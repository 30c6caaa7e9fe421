"""The counts of one host: exact over all its workers, in a file that they map, without another service.

Each limit has a block of 8-byte cells: digest, size, state. The state of a token bucket is one number, the
theoretical arrival time of the next call (GCRA, generic cell rate algorithm). That of a sliding window is how many
calls it ever admitted, which of them was the first in the window, and a ring of when it admitted the last of them;
a decision looks at few of these. Blocks are only ever added. A byte-range lock, held for some microseconds, makes
all limits of a call one decision. It goes with its process, so a killed worker blocks nobody. CLOCK_MONOTONIC is the
same in all of them.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Sequence
from pathlib import Path

from proxy.limits.limit import Limit, Verdict

_CELL = 8
# The file's own cell: where the next block begins. A block's: digest and size, then its state.
_END, _FIRST = 0, 1
_SIZE, _STATE, _TAIL, _RING = 1, 2, 3, 4
_INITIAL_CELLS = 1 << 14
_RETRY_OF_NOTHING_S = 60.0


class LimitTable:
    """The table: shared through `path`, or private to this process when `path` is None.

    `alone`: no other process uses the file, so no lock is taken. The file may be removed or emptied only while no
    process uses it.
    """

    def __init__(self, path: Path | None, *, alone: bool = False) -> None:
        self._locks = path is not None and not alone
        self._fd = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._places: dict[int, int] = {}
        self._seen = _FIRST
        self._map_cells(0)
        with self:
            self._reserve(_INITIAL_CELLS)
            if self._whole[_END] == 0:
                self._whole[_END] = _FIRST

    def __enter__(self) -> None:
        if self._locks:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, 0)

    def __exit__(self, *_: object) -> None:
        if self._locks:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, 0)

    # -- counting --

    def admit(self, limits: Sequence[Limit], now: float | None = None) -> Verdict:
        """Count one call against all `limits` if it fits every one of them, and against none if not.

        Args: now: seconds of the monotonic clock; read under the lock when None, so that times only ever grow.
        """
        # Taken by hand: a `with` costs as much as the lock itself.
        if self._locks:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, 0)
        try:
            if now is None:
                now = time.monotonic()
            places = self._find(limits)
            verdict = self._weigh(limits, places, now)
            if verdict.admitted:
                self._count(limits, places, now)
        finally:
            if self._locks:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, 0)
        return verdict

    def look(self, limits: Sequence[Limit], now: float | None = None) -> Verdict:
        """Return what `admit` would say, and count nothing."""
        with self:
            now = time.monotonic() if now is None else now
            return self._weigh(limits, self._find(limits), now)

    def record(self, limits: Sequence[Limit], now: float | None = None) -> None:
        """Count one call that was let in elsewhere, whether it fits or not."""
        with self:
            self._count(limits, self._find(limits), time.monotonic() if now is None else now)

    def _weigh(self, limits: Sequence[Limit], places: Sequence[int], now: float) -> Verdict:
        """Ask every limit. One verdict is made at the end: objects cost more than the arithmetic."""
        times = self._float
        deciding, least, full_s, wait_s = limits[0], -1, 0.0, 0.0
        for limit, place in zip(limits, places):  # noqa: B905 - as long as each other; checking it costs
            if limit.requests <= 0:
                return Verdict(limit, False, 0, _RETRY_OF_NOTHING_S, _RETRY_OF_NOTHING_S)
            if limit.sliding:
                remaining, reset_s, retry_s = self._weigh_window(limit, place, now)
            else:
                # The bucket, in place and not as a function of its own, which would cost as much again.
                interval, tolerance = limit.interval_s, limit.tolerance_s
                reset_s = times[place + _STATE] - now
                if reset_s < 0:
                    reset_s = 0.0
                elif reset_s > tolerance:
                    # From a time when the limit was another one. It is empty now, no more, and fills from here.
                    reset_s = tolerance
                    times[place + _STATE] = now + tolerance
                left_s = tolerance - reset_s - interval
                if left_s < -1e-9:
                    remaining, retry_s = 0, -left_s
                else:
                    remaining, reset_s, retry_s = int(left_s / interval + 1e-6), reset_s + interval, 0.0
            if retry_s > wait_s:
                deciding, least, full_s, wait_s = limit, 0, reset_s, retry_s
            elif not wait_s and (remaining < least or least < 0):
                deciding, least, full_s = limit, remaining, reset_s
        return Verdict(deciding, not wait_s, least, full_s, wait_s)

    def _weigh_window(self, limit: Limit, place: int, now: float) -> tuple[int, float, float]:
        """Return calls left after this one, seconds until full again, seconds to wait (0: the call fits)."""
        requests, start, whole = limit.requests, now - limit.window_s, self._whole
        count, ring, times = whole[place + _STATE], place + _RING, self._float
        capacity = whole[place + _SIZE] - _RING
        if count >= requests:
            first = times[ring + (count - requests) % capacity]
            if first > start:
                return 0, times[ring + (count - 1) % capacity] - start, first - start
        # The calls of the window are the newest ones. Look from where it began last, in steps that double.
        low, step = max(whole[place + _TAIL], count - capacity), 1
        while low + step <= count and times[ring + (low + step - 1) % capacity] <= start:
            low, step = low + step, step * 2
        high = min(low + step - 1, count)
        while low < high:
            middle = (low + high) // 2
            if times[ring + middle % capacity] > start:
                high = middle
            else:
                low = middle + 1
        whole[place + _TAIL] = low
        return requests - (count - low) - 1, float(limit.window_s), 0.0

    def _count(self, limits: Sequence[Limit], places: Sequence[int], now: float) -> None:
        times, whole = self._float, self._whole
        for limit, place in zip(limits, places):  # noqa: B905
            if limit.sliding:
                count = whole[place + _STATE]
                times[place + _RING + count % (whole[place + _SIZE] - _RING)] = now
                whole[place + _STATE] = count + 1
            else:
                arrival = times[place + _STATE]
                times[place + _STATE] = (arrival if arrival > now else now) + limit.interval_s

    # -- places --

    def _find(self, limits: Sequence[Limit]) -> list[int]:
        """Return where each limit's block begins; a block is made for one that has none. Needs the lock."""
        if self._whole[_END] != self._seen:
            self._scan()
        if len(limits) == 1 and not limits[0].sliding and (place := self._places.get(limits[0].digest)):
            return [place]
        places = []
        for limit in limits:
            place = self._places.get(limit.digest, 0)
            if not place or (limit.sliding and self._whole[place + _SIZE] - _RING < limit.requests):
                place = self._add(limit, place)
            places.append(place)
        return places

    def _scan(self) -> None:
        """Take in the blocks that other workers have added. The newest of a limit counts."""
        end = self._whole[_END]
        self._reserve(end)
        place = self._seen
        while place < end:
            self._places[self._whole[place]] = place
            place += self._whole[place + _SIZE]
        self._seen = end

    def _add(self, limit: Limit, former: int) -> int:
        """Add a block; one that was too small hands its calls on, so that raising a limit forgets none."""
        # A power of two: a limit may be raised a little without a new block.
        ring = 1 << max(limit.requests - 1, 0).bit_length() if limit.sliding else 0
        place, size = self._whole[_END], _RING + ring
        self._reserve(place + size)
        self._whole[place], self._whole[place + _SIZE] = limit.digest, size
        self._whole[place + _STATE] = self._whole[place + _TAIL] = 0
        if former:
            count, old = self._whole[former + _STATE], self._whole[former + _SIZE] - _RING
            kept = min(count, old)
            self._whole[place + _TAIL] = max(self._whole[former + _TAIL] - (count - kept), 0)
            for number in range(kept):
                self._float[place + _RING + number] = self._float[former + _RING + (count - kept + number) % old]
            self._whole[place + _STATE] = kept
        self._places[limit.digest] = place
        # Last: a block that a killed worker left unfinished is not there.
        self._whole[_END] = self._seen = place + size
        return place

    def _reserve(self, cells: int) -> None:
        """Have at least `cells` cells mapped. The file doubles, and only its used pages take room."""
        if cells <= self._cells:
            return
        cells = max(cells, self._cells * 2)
        if self._fd >= 0:
            present = os.fstat(self._fd).st_size // _CELL
            if present < cells:
                os.ftruncate(self._fd, cells * _CELL)
            cells = max(cells, present)
        self._map_cells(cells)

    def _map_cells(self, cells: int) -> None:
        """Map the file anew; one number is read as a float or as a whole number, as its place demands."""
        self._cells = cells
        if not cells:
            self._memory = memoryview(b"")
            return
        table = mmap.mmap(self._fd, cells * _CELL)
        if self._fd < 0:
            table[: len(self._memory)] = self._memory
        self._memory = memoryview(table)
        self._float, self._whole = self._memory.cast("d"), self._memory.cast("Q")

    def close(self) -> None:
        """Give the file back; the memory goes with its last view."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
