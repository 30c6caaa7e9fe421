"""P19: the workers are renewed one after the other under load, and no call fails."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.gateway import Gateway
from tests.reliability.conftest import KEYS, Figure
from tests.reliability.ledger import compare
from tests.reliability.load import Load

CALLS_PER_S = 50


async def _renewed(gateway: Gateway) -> float:
    """Send SIGHUP and wait until every worker is another one and serves; return how long that took."""
    begun, old = time.monotonic(), set(gateway.worker_pids())
    os.kill(gateway.state()["pid"], signal.SIGHUP)
    while True:
        state = gateway.state()
        if all(state["serving"].values()) and not old & set(gateway.worker_pids()):
            return time.monotonic() - begun
        assert time.monotonic() < begun + 60, "the workers were not renewed"
        await asyncio.sleep(0.05)


async def test_no_call_fails_while_workers_are_renewed(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], full: bool, figure: Figure
) -> None:
    gateway = make_gateway(workers=2, config=config)
    rounds = 10 if full else 2
    load = Load(gateway.port, "/mcp/first", KEYS["first"], "rolling", CALLS_PER_S, calls_each=1)
    async with load.running():
        await asyncio.sleep(1)
        took = [await _renewed(gateway) for _ in range(rounds)]
        await asyncio.sleep(1)
    found = await asyncio.to_thread(compare, gateway, "rolling", load.answered)
    figure(
        "P19",
        f"2 workers renewed one after the other × {rounds} (SIGHUP), {CALLS_PER_S} calls/s, a connection each",
        f"{load.failed.total()} of {load.sent:,} failed; slowest {load.slowest_s:.2f} s; {max(took):.1f} s a round at "
        f"most; {found.missing} rows missing, {found.doubled} doubled",
        "0 failed, 0 missing, 0 doubled",
    )
    assert not load.failed, load.failed
    assert len(load.answered) == load.sent
    assert (found.missing, found.doubled) == (0, 0)
