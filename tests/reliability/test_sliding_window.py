"""P27: a sliding window holds over all workers of a host, and over two hosts that share a Redis, to the call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import databases
from tests.conftest import Gateways
from tests.gateway import Gateway
from tests.redis_server import RedisServer, redis_server
from tests.reliability.client import Connection, protocol_headers, tool_call
from tests.reliability.conftest import KEYS, WINDOWS, Figure

LIMIT, CALLS, ROUNDS = 100, 400, 3


async def fire(gateways: list[Gateway], user: str, calls: int = CALLS) -> dict[int, int]:
    """Send `calls` calls at once, on a connection each, in turn to every gateway; return how often each status came."""
    connections = await asyncio.gather(
        *(Connection.open(gateways[number % len(gateways)].port) for number in range(calls))
    )
    headers = protocol_headers(KEYS[user])
    answers = await asyncio.gather(
        *(connection.call("POST", "/mcp/limited", headers, tool_call("echo", {})) for connection in connections)
    )
    for connection in connections:
        connection.close()
    statuses = [answer.status for answer in answers]
    assert set(statuses) <= {200, 429}
    return {status: statuses.count(status) for status in (200, 429)}


async def rounds(gateways: list[Gateway], user: str) -> tuple[list[int], int]:
    """Fire at the beginning of each window and again within it; return what was let in then, and again at most."""
    window_s = WINDOWS[user]
    first, again = [], 0
    for _ in range(ROUNDS):
        first.append((await fire(gateways, user))[200])
        ended = time.monotonic()
        again = max(again, (await fire(gateways, user, 50))[200])
        await asyncio.sleep(ended + window_s + 0.1 - time.monotonic())
    return first, again


async def test_a_sliding_window_is_exact_over_four_workers(four_workers: Gateway, full: bool, figure: Figure) -> None:
    user = "windowed-60" if full else "windowed-5"
    found, again = await rounds([four_workers], user)
    figure(
        "P27",
        f"sliding window of {LIMIT} in {WINDOWS[user]} s; {CALLS} calls at once on 4 workers, {ROUNDS} windows",
        f"{', '.join(map(str, found))} let in",
        "98–102 a window",
    )
    assert all(98 <= admitted <= 102 for admitted in found)
    assert again <= 2


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Run a Redis."""
    with redis_server() as server:
        yield server


@pytest.fixture
def two_hosts(
    request: pytest.FixtureRequest, config: dict[str, Any], redis: RedisServer
) -> Iterator[Callable[..., list[Gateway]]]:
    """Yield a function that starts two gateways, each with its own directory, over one database and one Redis."""
    url = databases.copy(request.getfixturevalue("migrated_database"))
    try:
        with Gateways(request) as start:

            def both() -> list[Gateway]:
                env = {"REDIS_URL": redis.url}
                return [start(workers=2, config=config, env=env, database_url=url) for _ in range(2)]

            yield both
    finally:
        databases.drop(url)


async def test_a_limit_holds_over_two_hosts(
    two_hosts: Callable[..., list[Gateway]], full: bool, figure: Figure
) -> None:
    gateways = two_hosts()
    user = "windowed-60" if full else "windowed-5"
    found, again = await rounds(gateways, user)
    figure(
        "P27",
        f"the same over 2 hosts with 2 workers each, through Redis, {ROUNDS} windows",
        f"{', '.join(map(str, found))} let in",
        "≤ 104 a window",
    )
    assert all(98 <= admitted <= 104 for admitted in found)
    assert again <= 4


async def test_redis_comes_and_goes_under_load(
    two_hosts: Callable[..., list[Gateway]], redis: RedisServer, full: bool, figure: Figure
) -> None:
    """Calls of a key with a limit go on while Redis is killed, frozen and started; none fails, none hangs."""
    gateways = two_hosts()
    statuses: dict[int, int] = {}
    longest, going = 0.0, True

    async def call(gateway: Gateway) -> None:
        nonlocal longest
        connection = await Connection.open(gateway.port)
        headers = protocol_headers(KEYS["windowed-5"])
        while going:
            begun = time.monotonic()
            answer = await connection.call("POST", "/mcp/limited", headers, tool_call("echo", {}))
            longest = max(longest, time.monotonic() - begun)
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            await asyncio.sleep(0.01)
        connection.close()

    callers = [asyncio.create_task(call(gateway)) for gateway in gateways for _ in range(5)]
    outages = 6 if full else 2
    for number in range(outages):
        await asyncio.sleep(1)
        if number % 2:
            redis.freeze()
            await asyncio.sleep(1)
            redis.thaw()
        else:
            redis.kill()
            await asyncio.sleep(1)
            await asyncio.to_thread(redis.start)
    await asyncio.sleep(3)
    going = False
    await asyncio.gather(*callers)
    await asyncio.sleep(WINDOWS["windowed-5"] + 0.2)
    after = (await fire(gateways, "windowed-5"))[200]
    figure(
        "P27",
        f"Redis killed or frozen {outages} times for 1 s under {sum(statuses.values()):,} calls",
        f"{sum(count for status, count in statuses.items() if status not in (200, 429))} failed, the longest took"
        f" {longest * 1000:.0f} ms; {after} let in afterwards",
        "0 failed; ≤ 104 afterwards",
    )
    assert set(statuses) <= {200, 429}
    assert longest < 2
    assert 98 <= after <= 104
