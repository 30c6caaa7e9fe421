"""Limits over several hosts: a real Redis that counts, hangs, goes away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from proxy.errors import Unavailable
from proxy.limits.limit import Limit, Verdict
from proxy.limits.limiter import Limiter
from proxy.limits.shared import SharedCounts
from proxy.limits.table import LimitTable
from tests.redis_server import RedisServer, redis_server

TIMEOUT_S = 0.2


def bucket(requests: int, burst: int, name: str = "key:1", window_s: int = 60) -> Limit:
    return Limit(name, "key", "alice #1", requests, burst, window_s)


def window(requests: int, window_s: int = 60, name: str = "key:1") -> Limit:
    return Limit(name, "key", "alice #1", requests, window_s=window_s, sliding=True)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Run the server; it starts empty for each test."""
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def empty(server: RedisServer) -> None:
    """Forget what earlier tests counted."""
    server.command("FLUSHALL")


@contextlib.asynccontextmanager
async def hosts(url: str, count: int = 2, *, closed: bool = False) -> AsyncIterator[list[Limiter]]:
    """Yield the limiters of so many hosts, each with a table of its own, once they have reached Redis."""
    limiters = [Limiter(LimitTable(None), SharedCounts(url, TIMEOUT_S), closed=closed) for _ in range(count)]
    tasks = [asyncio.create_task(limiter.run()) for limiter in limiters]
    try:
        await until(lambda: all(limiter.shared.up for limiter in limiters))
        yield limiters
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def count(limiters: list[Limiter], limits: list[Limit], calls: int) -> list[Verdict]:
    """Make calls at once, in turn on each host."""
    asked = (limiters[number % len(limiters)].admit_shared(limits) for number in range(calls))
    return await asyncio.gather(*asked)


@pytest.mark.parametrize("limit", [window(100), bucket(100, 100)])
async def test_two_hosts_let_in_as_one(server: RedisServer, limit: Limit) -> None:
    async with hosts(server.url) as pair:
        found = await count(pair, [limit], 400)
        assert sum(verdict.admitted for verdict in found) in (100, 101)  # a bucket fills while it is asked
        assert all(verdict.retry_s > 0 for verdict in found if not verdict.admitted)


async def test_a_sliding_window_moves(server: RedisServer) -> None:
    async with hosts(server.url) as pair:
        limit = window(20, window_s=1)
        for _ in range(3):
            begun = time.monotonic()
            assert sum(verdict.admitted for verdict in await count(pair, [limit], 50)) == 20
            await asyncio.sleep(begun + 1.1 - time.monotonic())


async def test_what_redis_says_is_true(server: RedisServer) -> None:
    async with hosts(server.url, 1) as (host,):
        for limit in (bucket(120, 3), window(3, window_s=1)):
            first = [await host.admit_shared([limit]) for _ in range(4)]
            assert [verdict.remaining for verdict in first] == [2, 1, 0, 0]
            assert [verdict.admitted for verdict in first] == [True, True, True, False]
            await asyncio.sleep(first[-1].retry_s / 2)
            assert not (await host.admit_shared([limit])).admitted
            await asyncio.sleep(first[-1].retry_s / 2 + 0.02)
            assert (await host.admit_shared([limit])).admitted


async def test_a_call_that_one_limit_refuses_uses_up_none(server: RedisServer) -> None:
    async with hosts(server.url) as (first, second):
        small, large = window(2, name="small"), bucket(60, 9, "large")
        assert [verdict.admitted for verdict in await count([first, second], [large, small], 6)].count(True) == 2
        verdict = await second.admit_shared([large])
        assert verdict.remaining == 6


async def test_raising_a_limit_holds_at_once_and_forgets_no_call(server: RedisServer) -> None:
    async with hosts(server.url) as pair:
        assert sum(verdict.admitted for verdict in await count(pair, [window(5)], 20)) == 5
        assert sum(verdict.admitted for verdict in await count(pair, [window(8)], 20)) == 3
        slow, fast = bucket(1, 50), bucket(6000, 10)
        assert sum(verdict.admitted for verdict in await count(pair, [slow], 60)) == 50
        # Each host, and Redis, meets the faster limit for the first time, and lets the bucket fill from there.
        for _ in range(3):
            await count(pair, [fast], 2)
            await asyncio.sleep(0.05)
        assert sum(verdict.admitted for verdict in await count(pair, [fast], 20)) >= 3


async def test_a_limit_of_zero_asks_nobody(server: RedisServer) -> None:
    async with hosts(server.url, 1) as (host,):
        assert not (await host.admit_shared([bucket(0, 1)])).admitted
        assert server.command("DBSIZE") == 0


async def test_places_in_redis_end_by_themselves(server: RedisServer) -> None:
    async with hosts(server.url, 1) as (host,):
        await host.admit_shared([bucket(60, 5, "b"), window(5, name="w")])
    places = server.command("KEYS", "*")
    assert len(places) == 2  # type: ignore[arg-type]
    for place in places:  # type: ignore[attr-defined]
        assert 0 < server.command("PTTL", place) <= 60_001  # type: ignore[operator]


async def test_calls_that_leave_take_no_other_calls_answer(server: RedisServer) -> None:
    async with hosts(server.url, 1) as (host,):
        names = [f"key:{number}" for number in range(200)]
        for _ in range(20):
            leaving = [asyncio.create_task(host.admit_shared([window(1000, name="leaving")])) for _ in range(20)]
            await asyncio.sleep(0)
            for task in leaving[::2]:
                task.cancel()
            found = await asyncio.gather(*(host.admit_shared([bucket(600, 50, name)]) for name in names))
            assert [verdict.limit.identity for verdict in found] == names
            await asyncio.gather(*leaving, return_exceptions=True)


async def test_open_goes_on_with_what_this_host_has_let_in(server: RedisServer) -> None:
    limit = window(10)
    async with hosts(server.url) as (first, second):
        assert all(verdict.admitted for verdict in await count([first], [limit], 4))
        assert all(verdict.admitted for verdict in await count([second], [limit], 2))
        server.kill()
        begun = time.monotonic()
        found = await count([first], [limit], 20)
        assert time.monotonic() - begun < 1.0
        assert sum(verdict.admitted for verdict in found) == 6
        assert first.fallbacks.alone >= 6 and second.fallbacks.alone == 0
        await until(lambda: not second.shared.up)
        assert sum(verdict.admitted for verdict in await count([second], [limit], 20)) == 8
        server.start()
        await until(lambda: first.shared.up and second.shared.up)
        # Redis has forgotten; the hosts have not.
        assert not any(verdict.admitted for verdict in await count([first, second], [limit], 20))


async def test_closed_refuses_what_has_a_limit(server: RedisServer) -> None:
    async with hosts(server.url, 1, closed=True) as (host,):
        assert (await host.admit_shared([window(10)])).admitted
        server.kill()
        for _ in range(3):
            with pytest.raises(Unavailable) as refusal:
                await host.admit_shared([window(10)])
            assert (refusal.value.status, refusal.value.reason) == (503, "limiter_down")
        assert host.fallbacks.refused == 3
        server.start()
        await until(lambda: host.shared.up)
        assert (await host.admit_shared([window(10)])).admitted


async def test_a_redis_that_hangs_holds_no_call_for_long(server: RedisServer) -> None:
    async with hosts(server.url, 1) as (host,):
        server.freeze()
        try:
            took = []
            for _ in range(5):
                begun = time.monotonic()
                assert (await host.admit_shared([window(1000)])).admitted
                took.append(time.monotonic() - begun)
            assert took[0] < TIMEOUT_S * 2 and max(took[1:]) < 0.05  # the first one finds out
            begun = time.monotonic()
            await count([host], [window(1000)], 200)
            assert time.monotonic() - begun < 0.5
        finally:
            server.thaw()
        await until(lambda: host.shared.up)
        alone = host.fallbacks.alone
        assert (await host.admit_shared([window(1000)])).admitted
        assert host.fallbacks.alone == alone


async def test_coming_and_going_fails_no_call(server: RedisServer) -> None:
    """Two seconds of calls while Redis dies and returns again and again: all are answered, none waits long."""
    async with hosts(server.url) as pair:
        longest, done, going = 0.0, 0, True

        async def call(host: Limiter) -> None:
            nonlocal longest, done
            while going:
                begun = time.monotonic()
                assert (await host.admit_shared([bucket(10_000_000, 1_000_000)])).admitted
                longest, done = max(longest, time.monotonic() - begun), done + 1
                await asyncio.sleep(0.001)

        callers = [asyncio.create_task(call(host)) for host in pair for _ in range(10)]
        for _ in range(4):
            await asyncio.sleep(0.2)
            server.kill()
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.start)
        going = False
        await asyncio.gather(*callers)
        await until(lambda: all(host.shared.up for host in pair))
        assert done > 500 and longest < 1.0


async def test_scripts_that_somebody_flushed_come_back(server: RedisServer) -> None:
    async with hosts(server.url, 1) as (host,):
        assert (await host.admit_shared([window(5)])).remaining == 4
        server.command("SCRIPT", "FLUSH")
        assert (await host.admit_shared([window(5)])).remaining == 3
        assert host.shared.up and host.fallbacks.alone == 0


async def test_an_error_of_redis_counts_as_being_away(server: RedisServer) -> None:
    async with hosts(server.url, 1) as (host,):
        limit = window(5)
        server.command("SET", f"mcp-gateway:{{limits}}:{limit.digest:016x}", "no list")
        assert (await host.admit_shared([limit])).admitted
        assert host.fallbacks.alone == 1


async def test_a_password_stays_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with redis_server(password="hush-7f31") as guarded, caplog.at_level(logging.DEBUG):
        async with hosts(guarded.url, 1) as (host,):
            assert (await host.admit_shared([window(5)])).admitted
            guarded.kill()
            await host.admit_shared([window(5)])
            guarded.start()
            await until(lambda: host.shared.up)
        wrong = Limiter(LimitTable(None), SharedCounts(guarded.url.replace("hush", "rush"), TIMEOUT_S))
        task = asyncio.create_task(wrong.run())
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    said = [record for record in caplog.records if record.name == "proxy.limits.shared"]
    assert [record.levelname for record in said] == ["WARNING"] * 3
    assert said[1].decided_alone == 1  # type: ignore[attr-defined]
    assert "hush" not in caplog.text and "rush" not in caplog.text
