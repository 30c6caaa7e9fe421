"""Requests per minute with burst, exact over all workers of a host.

GCRA (generic cell rate algorithm): one number a limit, the theoretical arrival time of the next call. The
numbers lie in a file that every worker maps; a byte-range lock held for a microsecond orders their updates and
goes with its process, so a killed worker blocks nobody. CLOCK_MONOTONIC is the same in all of them.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.errors import Limited

if TYPE_CHECKING:
    from proxy.snapshot import Limit

_SLOT = struct.Struct("d")
_INITIAL_SLOTS = 4096


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a limit said: `remaining` calls at once, `reset_s` until it is full again, `retry_s` when refused."""

    admitted: bool
    rpm: int
    remaining: int
    reset_s: float
    retry_s: float

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the X-RateLimit headers of an answer (B.10, C.20); Retry-After too when refused."""
        reset = -int(-self.reset_s // 1)
        headers = [
            (b"x-ratelimit-limit", b"%d" % self.rpm),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % reset),
            (b"x-ratelimit-policy", b"%d;w=60" % self.rpm),
        ]
        if not self.admitted:
            headers.append((b"retry-after", b"%d" % max(1, -int(-self.retry_s // 1))))
        return headers

    def refusal(self) -> Limited:
        """Return the answer for a call that did not fit."""
        return Limited(
            f"The rate limit of {self.rpm} requests a minute is used up; try again later.",
            data={"retryAfterMs": int(self.retry_s * 1000) + 1},
        )


class RateLimiter:
    """The table of limits: shared through `path`, or private to this process when `path` is None.

    `alone`: no other process uses the file, so no lock is taken.
    """

    def __init__(self, path: Path | None, *, alone: bool = False) -> None:
        self._locks = path is not None and not alone
        self._fd = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._table: mmap.mmap
        self._slots = 0
        self._grow(_INITIAL_SLOTS)

    def _grow(self, slots: int) -> None:
        size = slots * _SLOT.size
        if self._fd < 0:
            table = mmap.mmap(-1, size)
            if self._slots:
                table[: self._slots * _SLOT.size] = self._table[:]
            self._table = table
        else:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, 1 << 40)
            try:
                size = max(size, os.fstat(self._fd).st_size // _SLOT.size * _SLOT.size)
                os.ftruncate(self._fd, size)
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, 1 << 40)
            self._table = mmap.mmap(self._fd, size)
        self._slots = size // _SLOT.size

    def admit(self, limit: Limit, now: float | None = None) -> Verdict:
        """Count one call against `limit` if it fits; `now` is seconds of the monotonic clock."""
        rpm = limit.rpm
        if rpm <= 0:
            return Verdict(False, 0, 0, 60.0, 60.0)
        if limit.slot >= self._slots:
            self._grow(limit.slot * 2)
        interval = 60.0 / rpm
        tolerance = limit.burst * interval
        offset = limit.slot * _SLOT.size
        if self._locks:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, _SLOT.size, offset)
        try:
            if now is None:
                now = time.monotonic()
            (arrival,) = _SLOT.unpack_from(self._table, offset)
            # A value from before a reboot (the clock began anew) or beyond any burst counts as empty.
            if arrival < now or arrival > now + 3600.0 * 24:
                arrival = now
            due = arrival + interval
            ahead = due - now
            if ahead > tolerance + 1e-9:
                return Verdict(False, rpm, 0, arrival - now, ahead - tolerance)
            _SLOT.pack_into(self._table, offset, due)
        finally:
            if self._locks:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, _SLOT.size, offset)
        return Verdict(True, rpm, int((tolerance - ahead) / interval + 1e-6), ahead, 0.0)

    def close(self) -> None:
        """Give the file back."""
        self._table.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def tightest(limiter: RateLimiter, limits: tuple[Limit, ...]) -> Verdict:
    """Count one call against each limit in turn; return the first refusal, else the one with least left."""
    least: Verdict | None = None
    for limit in limits:
        verdict = limiter.admit(limit)
        if not verdict.admitted:
            return verdict
        if least is None or verdict.remaining < least.remaining:
            least = verdict
    assert least is not None, "tightest() needs at least one limit"  # noqa: S101
    return least
