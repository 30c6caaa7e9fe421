"""P27: a limit of requests per minute with burst holds over all workers together."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from tests.gateway import Gateway
from tests.reliability.client import Connection, protocol_headers, tool_call
from tests.reliability.conftest import KEYS, Figure

RPM, BURST, CALLERS = 100, 10, 20


async def test_a_limit_is_exact_over_four_workers(four_workers: Gateway, full: bool, figure: Figure) -> None:
    seconds = 60 if full else 6
    statuses: Counter[int] = Counter()
    untold = 0
    if full:  # whatever the short form used up has come back
        await asyncio.sleep(60 / RPM * BURST)
    begun = time.monotonic()

    async def call() -> None:
        nonlocal untold
        connection = await Connection.open(four_workers.port)
        while time.monotonic() < begun + seconds:
            answer = await connection.call(
                "POST", "/mcp/limited", protocol_headers(KEYS["limited"]), tool_call("echo", {})
            )
            statuses[answer.status] += 1
            untold += answer.status == 429 and not answer.headers.get("retry-after", "").isdigit()
            await asyncio.sleep(0.02)
        connection.close()

    await asyncio.gather(*(call() for _ in range(CALLERS)))
    took = time.monotonic() - begun
    most = BURST + RPM / 60 * took + 2
    figure(
        "P27",
        f"{RPM} requests a minute, burst {BURST}; {CALLERS} callers at once on 4 workers for {took:.1f} s, "
        f"{statuses.total():,} calls",
        f"{statuses[200]} let in, {statuses[429]:,} refused with Retry-After",
        f"≤ 10 + 1.67 t + 2 = {most:.0f}",
    )
    assert set(statuses) == {200, 429}
    assert BURST + RPM / 60 * took - 2 <= statuses[200] <= most
    assert statuses[429] > 10 * statuses[200]
    assert untold == 0
