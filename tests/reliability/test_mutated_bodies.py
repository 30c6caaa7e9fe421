"""P3: broken bodies by the hundred thousand, and never a 500, a traceback or a dead worker."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from tests.proxy.test_jsonrpc_parse import mutated, originals
from tests.reliability.client import Connection, protocol_headers, text_of, tool_call
from tests.reliability.conftest import EVERYWHERE, Figure, Watched

CALLERS = 10
EXPECTED = {200, 202, 400, 404, 405, 406, 413, 415, 502, 504}


async def _send(port: int, seed: int, count: int, statuses: Counter[int]) -> None:
    chance = random.Random(seed)
    kinds = originals()
    others = [body for body, _ in kinds]
    connection = await Connection.open(port)
    for _ in range(count):
        body, more = chance.choice(kinds)
        path = chance.choice(["/mcp/first", "/mcp/listed"])
        headers = protocol_headers(EVERYWHERE) | more
        answer = await connection.call("POST", path, headers, mutated(body, others, chance))
        statuses[answer.status] += 1
        if answer.headers.get("connection") == "close":
            connection.close()
            connection = await Connection.open(port)
    connection.close()


async def test_no_mutated_body_is_a_500(watched: Watched, full: bool, figure: Figure) -> None:
    port, count = watched.gateway.port, 100_000 if full else 2_000
    workers, written = watched.gateway.worker_pids(), len(watched.gateway.output())
    statuses: Counter[int] = Counter()
    async with watched.meter.watching():
        await asyncio.gather(*(_send(port, seed, count // CALLERS, statuses) for seed in range(CALLERS)))
    tracebacks = watched.gateway.output()[written:].count("Traceback")
    figure(
        "P3",
        f"{count:,} mutated bodies, {CALLERS} at once",
        f"{statuses[500]} × 500, {tracebacks} tracebacks; {statuses[400]:,} × 400, {statuses[200]:,} × 200; memory "
        f"+{watched.meter.grown / (1 << 20):.1f} MiB; {watched.meter.lag}",
        "0 × 500, 0 crashes",
    )
    assert set(statuses) <= EXPECTED, statuses
    assert statuses.total() == count and tracebacks == 0
    assert watched.gateway.worker_pids() == workers
    connection = await Connection.open(port)
    answer = await connection.call("POST", "/mcp/first", protocol_headers(EVERYWHERE), tool_call("echo", {"a": 1}))
    assert text_of(answer) == '{"a": 1}'
    connection.close()
