"""What one worker costs and how late it is, read from outside: /proc, and the file of its loop probe."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from gateway_project.server.loop_probe import BINS, NUMBERS


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the event loop's timers were in a stretch of time, in milliseconds; `own`: while it worked itself."""

    p99_ms: int
    max_ms: int
    own_p99_ms: int

    def __str__(self) -> str:
        return f"loop lag p99 {self.p99_ms} ms (at work {self.own_p99_ms} ms), max {self.max_ms} ms"

    def holds(self, full: bool) -> bool:
        """Whether it is within 50 ms. The short form is for machines with others' work on them: it asks for ours."""
        return (self.p99_ms if full else self.own_p99_ms) <= 50


class WorkerMeter:
    """What a worker read and how much memory it took, at most, while a test ran.

    With `probe`, the directory of its loop probe, also how late its event loop was and how many tasks it has.
    """

    def __init__(self, pid: int, probe: Path | None = None) -> None:
        self.proc = Path(f"/proc/{pid}")
        self.probe = probe / f"loop-{pid}" if probe else None
        self.highest_kib = 0

    def _number(self, name: str, field: str) -> int:
        found = re.search(rf"^{field}:\s*(\d+)", (self.proc / name).read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Sample the memory each 10 ms, and note what was read and how late the loop was."""
        self.rss_before = self.highest_kib = self._number("status", "VmRSS")
        self.read_before = self._number("io", "rchar")
        ticks = self._ticks()
        sampling = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            sampling.cancel()
            self.read = self._number("io", "rchar") - self.read_before
            self.lag = _lag([after - before for before, after in zip(ticks, self._ticks(), strict=True)])

    async def _sample(self) -> None:
        while True:
            self.highest_kib = max(self.highest_kib, self._number("status", "VmRSS"))
            await asyncio.sleep(0.01)

    @property
    def grown(self) -> int:
        """By how many bytes the memory grew at most."""
        return (self.highest_kib - self.rss_before) * 1024

    @property
    def resident(self) -> int:
        """How many bytes of memory it has now."""
        return self._number("status", "VmRSS") * 1024

    @property
    def total_read(self) -> int:
        """How many bytes it has read in its life."""
        return self._number("io", "rchar")

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(self.proc / "fd"))

    @property
    def tasks(self) -> int:
        """How many asyncio tasks it has, its probe's among them."""
        return self._probed()[-1]

    def _probed(self) -> tuple[int, ...]:
        assert self.probe is not None
        return struct.unpack(f"{NUMBERS}I", self.probe.read_bytes())

    def _ticks(self) -> list[int]:
        return list(self._probed()) if self.probe is not None else [0] * NUMBERS


def _lag(ticks: list[int]) -> Lag:
    late, own = ticks[:BINS], ticks[BINS : 2 * BINS]
    return Lag(_p99(late), max((number for number, count in enumerate(late) if count), default=0), _p99(own))


def _p99(ticks: list[int]) -> int:
    total, passed = sum(ticks), 0
    for number, count in enumerate(ticks):
        passed += count
        if passed >= total * 0.99:
            return number
    return 0


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def settled(meter: WorkerMeter, descriptors: int, tasks: int, within_s: float) -> tuple[int, int]:
    """Wait until descriptors and tasks are back to these numbers and two more; return what they are then."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and (meter.descriptors > descriptors + 2 or meter.tasks > tasks + 2):
        await asyncio.sleep(0.1)
    return meter.descriptors, meter.tasks
