"""P10 to P12 and HF17: a client that leaves takes its upstream call with it, is on record once, and harms nobody."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from tests.gateway import Gateway
from tests.reliability.client import Broken, Connection, protocol_headers, text_of, tool_call
from tests.reliability.conftest import KEYS, Figure, Upstream
from tests.reliability.ledger import rows_of

PATH = "/mcp/first"
CLIENTS = 100
HABITS = ["plain", "reset", "pipelined"]


class Arrivals:
    """Which calls have reached the upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._names: set[str] = set()

    async def watch(self) -> None:
        """Ask the upstream again and again."""
        while True:
            self._names |= await asyncio.to_thread(self._upstream.open)
            await asyncio.sleep(0.02)

    async def of(self, name: str, within_s: float = 20) -> None:
        """Wait for a call. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while name not in self._names:
                await asyncio.sleep(0.01)


async def _hang_and_leave(port: int, name: str, habit: str, stay_s: float, arrivals: Arrivals) -> float:
    """Call `hang`, leave after `stay_s`, and return when that was (monotonic clock).

    On a busy machine `stay_s` may be over before the call is at the upstream, which could not see anybody leave then.
    """
    connection = await Connection.open(port)
    body = tool_call("hang", {"nonce": name})
    connection.send("POST", PATH, protocol_headers(KEYS["first"], name), body)
    if habit == "pipelined":
        # Behind an open request; what stands there must not keep the gateway from seeing the client leave.
        await asyncio.sleep(stay_s / 2)
        second = tool_call("echo", {"nonce": f"{name}-second"}, 2)
        connection.send("POST", PATH, protocol_headers(KEYS["first"], f"{name}-second"), second)
    await asyncio.sleep(stay_s)
    await arrivals.of(name)
    if habit == "reset":
        connection.reset()
    else:
        connection.close()
    return time.monotonic()


async def _good_calls(port: int, count: int, callers: int = 25) -> int:
    """Make `count` calls over `callers` connections; return how many got their own complete answer."""
    good = 0

    async def work(number: int) -> None:
        nonlocal good
        connection = await Connection.open(port)
        for step in range(count // callers):
            nonce = f"good-{number}-{step}"
            async with asyncio.timeout(20):
                answer = await connection.call(
                    "POST", PATH, protocol_headers(KEYS["first"]), tool_call("echo", {"nonce": nonce})
                )
            good += answer.status == 200 and nonce in text_of(answer)
        connection.close()

    await asyncio.gather(*(work(number) for number in range(callers)), return_exceptions=True)
    return good


async def _seen_leaving(upstream: Upstream, names: set[str], within_s: float) -> dict[str, float]:
    """Return when the upstream saw each of `names` leave; those that it did not see within the time are missing."""
    deadline = time.monotonic() + within_s
    while True:
        left = await asyncio.to_thread(upstream.left)
        if names <= left.keys() or time.monotonic() > deadline:
            return {name: left[name] for name in names & left.keys()}
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("habit", HABITS)
async def test_the_upstream_call_of_a_client_that_left_is_dropped(
    four_workers: Gateway, upstream: Upstream, habit: str, figure: Figure
) -> None:
    chance = random.Random(habit)
    port, run = four_workers.port, f"left{random.getrandbits(32):x}"
    names = [f"{run}-{number}" for number in range(CLIENTS)]
    arrivals = Arrivals(upstream)
    watching = asyncio.create_task(arrivals.watch())
    leaving = [_hang_and_leave(port, name, habit, chance.uniform(0.2, 2), arrivals) for name in names]
    closed = dict(zip(names, await asyncio.gather(*leaving), strict=True))
    watching.cancel()
    seen = await _seen_leaving(upstream, set(names), within_s=5)
    slowest = max((seen[name] - closed[name] for name in seen), default=0.0)
    in_time = sum(seen[name] - closed[name] <= 1 for name in seen)
    await asyncio.sleep(0.5)
    good = await _good_calls(port, 1000)
    gone, rows = await asyncio.to_thread(_rows, four_workers, run)
    figure(
        "P10, P12" if habit != "pipelined" else "P10, P12, HF17",
        f"{CLIENTS} clients call `hang` and leave after 0.2 to 2 s ({habit}); then 1,000 calls, 25 at once; 4 workers",
        f"upstream dropped within 1 s in {in_time} of {CLIENTS}, at latest after {slowest * 1000:.0f} ms; "
        f"{len(gone)} recorded as client_gone, {sum(rows.values())} rows; then {good:,} of 1,000 good",
        "100 of 100, each recorded once, 1,000 of 1,000",
    )
    assert in_time == CLIENTS
    assert set(gone) == set(names)
    assert set(rows.values()) == {1}
    assert set(rows) == set(names), "a request that stood behind an open one was served"
    assert good == 1000


def _rows(gateway: Gateway, run: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the rows of the run recorded as client_gone, and all its rows, by request id."""
    deadline = time.monotonic() + 20
    while (gone := rows_of(gateway, run, "client_gone")).total() < CLIENTS and time.monotonic() < deadline:
        time.sleep(0.1)
    return dict(gone), dict(rows_of(gateway, run))


async def test_good_calls_succeed_after_a_churn_of_cancelled_ones(
    four_workers: Gateway, upstream: Upstream, full: bool, figure: Figure
) -> None:
    seconds = 60 if full else 6
    until = time.monotonic() + seconds
    run = f"churn{random.getrandbits(32):x}"
    cancelled = 0

    async def churn(number: int) -> None:
        nonlocal cancelled
        chance, step = random.Random(number), 0
        while time.monotonic() < until:
            connection = await Connection.open(four_workers.port)
            name, step = f"{run}-{number}-{step}", step + 1
            arguments: dict[str, Any] = {"ms": 15, "nonce": name}
            call = connection.call("POST", PATH, protocol_headers(KEYS["first"], name), tool_call("sleep", arguments))
            try:
                await asyncio.wait_for(call, chance.uniform(0, 0.02))
            except (TimeoutError, Broken):
                cancelled += 1
            connection.close()

    await asyncio.gather(*(churn(number) for number in range(25)))
    good = await _good_calls(four_workers.port, 1000)
    await asyncio.sleep(1)
    rows = await asyncio.to_thread(rows_of, four_workers, run)
    doubled = sum(count > 1 for count in rows.values())
    still_open = (await asyncio.to_thread(upstream.count))["open"]
    figure(
        "P11",
        f"25 clients at once leave after 0 to 20 ms each, for {seconds} s ({cancelled:,} calls cancelled); 4 workers",
        f"then {good:,} of 1,000 calls good; {doubled} calls recorded twice, {still_open} open at the upstream",
        "1,000 of 1,000",
    )
    assert cancelled > 50 * seconds
    assert (good, doubled, still_open) == (1000, 0, 0)
