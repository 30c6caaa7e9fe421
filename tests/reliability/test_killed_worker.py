"""P13: no answered call is missing from the request log, however its worker died."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.gateway import Gateway
from tests.reliability.conftest import KEYS, Figure
from tests.reliability.ledger import compare
from tests.reliability.load import Load


async def _kill_some(gateway: Gateway, kills: int) -> list[float]:
    """Kill `kills` workers at random moments; return how long each time until all were back, in seconds."""
    chance = random.Random(13)
    gaps: list[float] = []
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.2, 1.2))
        victims = gateway.worker_pids()
        victim = chance.choice(victims)
        os.kill(victim, signal.SIGKILL)
        begun = time.monotonic()
        while victim in gateway.worker_pids() or len(gateway.worker_pids()) < gateway.workers:
            await asyncio.sleep(0.02)
            assert time.monotonic() < begun + 30, "the killed worker was not started again"
        gaps.append(time.monotonic() - begun)
    return gaps


async def test_no_answered_call_is_missing_after_kill_9_of_workers(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], full: bool, figure: Figure
) -> None:
    kills = 20 if full else 5
    gateway = make_gateway(workers=4, config=config)
    load = Load(gateway.port, "/mcp/first", KEYS["first"], "killed", calls_per_s=500)
    begun = time.monotonic()
    async with load.running():
        gaps = await _kill_some(gateway, kills)
        await asyncio.sleep(1)
    seconds = time.monotonic() - begun
    found = await asyncio.to_thread(compare, gateway, "killed", load.answered)
    figure(
        "P13",
        f"{load.sent / seconds:.0f} calls/s on 4 workers for {seconds:.0f} s, kill -9 of a worker × {kills}",
        f"{len(load.answered):,} answered calls, {found.missing} missing, {found.doubled} doubled; "
        f"{load.failed.total()} calls broken off; a worker was started again after {max(gaps):.1f} s at most",
        "0 missing, 0 doubled",
    )
    assert load.sent / seconds > 250, "the load was too light to mean anything"
    assert (found.missing, found.doubled) == (0, 0)
    assert load.failed.total() < load.sent * 0.05
