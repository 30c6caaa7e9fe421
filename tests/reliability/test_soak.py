"""A long load with everything that happens to a gateway in it: what it takes, it gives back."""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass, field

from tests.reliability.client import Broken, Connection, protocol_headers, tool_call
from tests.reliability.conftest import EVERYWHERE, KEYS, Figure, Watched
from tests.reliability.load import Load
from tests.reliability.meter import settled

CALLS_PER_S = 500
# What upstreams do to some of the calls; each ends by itself or at its deadline.
FAULTS = ["reset", "close-mid-json", "status-503", "invalid", "endless-sse", "gzip-bad", "hang-after-head", "wrong-id"]


@dataclass
class Disturbance:
    """Clients that come, call `hang` or a hostile upstream, and often leave before the answer."""

    port: int
    left: int = 0
    faults: int = 0
    running: bool = True
    failures: list[str] = field(default_factory=list)

    async def run(self, number: int) -> None:
        """Disturb until told otherwise, five times a second."""
        chance = random.Random(number)
        while self.running:
            connection = await Connection.open(self.port)
            try:
                await self._once(connection, chance)
            except (Broken, OSError) as error:
                self.failures.append(repr(error))
            connection.close()
            await asyncio.sleep(0.2)

    async def _once(self, connection: Connection, chance: random.Random) -> None:
        if chance.random() < 0.5:
            connection.send("POST", "/mcp/first", protocol_headers(KEYS["first"]), tool_call("hang", {}))
            await asyncio.sleep(chance.uniform(0, 0.1))
            self.left += 1
            return
        path = f"/mcp/h-{chance.choice(FAULTS)}"
        async with asyncio.timeout(10):
            await connection.call("POST", path, protocol_headers(EVERYWHERE, bare=True), tool_call("echo", {}))
        self.faults += 1


def slope(samples: list[tuple[float, float]]) -> float:
    """Return the slope of the straight line through the samples (least squares), in units of y for one of x."""
    mean_x, mean_y = (sum(column) / len(samples) for column in zip(*samples, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread


async def test_memory_and_descriptors_stay_level(watched: Watched, full: bool, figure: Figure) -> None:
    """SOAK_MINUTES: how long the full form takes, after five minutes (or a third of it) of warming up."""
    meter, seconds = watched.meter, float(os.environ.get("SOAK_MINUTES", "30")) * 60 if full else 20.0
    warm_s = min(300.0, seconds / 3)
    descriptors, tasks = meter.descriptors, meter.tasks
    disturbance = Disturbance(watched.gateway.port)
    load = Load(watched.gateway.port, "/mcp/second", KEYS["second"], "soak", CALLS_PER_S, calls_each=200)
    samples: list[tuple[float, float]] = []
    begun = time.monotonic()
    disturbing = [asyncio.create_task(disturbance.run(number)) for number in range(10)]
    async with meter.watching(), load.running():
        while (elapsed := time.monotonic() - begun) < seconds:
            if elapsed > warm_s:
                samples.append((elapsed / 600, meter.resident / (1 << 20)))
            await asyncio.sleep(0.5)
        disturbance.running = False
        await asyncio.gather(*disturbing)
    left = await settled(meter, descriptors, tasks, within_s=15)
    per_ten_minutes = slope(samples)
    figure(
        "–, soak",
        f"{seconds / 60:.1f} min at {load.sent / seconds:.0f} calls/s, {disturbance.left:,} clients that left, "
        f"{disturbance.faults:,} calls of hostile upstreams",
        f"{load.failed.total()} of {load.sent:,} failed; memory {per_ten_minutes:+.2f} MiB in ten minutes after "
        f"{warm_s / 60:.1f} min, {samples[-1][1]:.0f} MiB in the end; descriptors {descriptors} → {left[0]}, tasks "
        f"{tasks} → {left[1]}; {meter.lag}",
        "0 failed; memory ≤ 1 MiB in ten minutes (full form); descriptors and tasks back (+ 2); lag p99 ≤ 50 ms",
    )
    assert not load.failed and not disturbance.failures, (load.failed, disturbance.failures[:3])
    assert left[0] <= descriptors + 2 and left[1] <= tasks + 2
    assert per_ten_minutes <= 1 or not full
    assert meter.lag.holds(full)
