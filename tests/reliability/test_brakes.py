"""An upstream that hangs or is down is felt by nobody else: bulkheads and circuit breakers, with checks each 2 s."""

from __future__ import annotations

import asyncio
import statistics
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Gateways
from tests.gateway import Gateway
from tests.reliability.client import Answer, Connection, protocol_headers, tool_call
from tests.reliability.conftest import EVERYWHERE, Figure, Upstream
from tests.upstreams.listening import started

HANGING, FULL_CALLS = 200, 20
RATE = 50
CHECK_S = 2.0
OPEN_CALLS = 200
OPEN_FLOOR_MS, RECOVERY_FLOOR_S = 10.0, 10.0
DEADLINE_S = {False: 14.0, True: 30.0}


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    with started("tests.upstreams.hostile") as url:
        yield url


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, upstream: Upstream, hostile: str) -> Iterator[Gateway]:
    """Two workers before `b`, which answers, `c`, which is switched, and two that hang, for each form's deadline."""
    a = {"url": f"{hostile}/hang", "max_concurrency": HANGING, "queue_length": 0, "circuit_breaker_threshold": 0}
    upstreams: dict[str, dict[str, Any]] = {
        "b": {"url": upstream.url},
        "c": {"url": f"{hostile}/switched", "timeouts": {"connect": "1s", "first_byte": "1s", "total": "5s"}},
    }
    for full, seconds in DEADLINE_S.items():
        upstreams[_hanging(full)] = a | {"timeouts": {"first_byte": seconds, "total": seconds}}
    config = {
        "version": 1,
        "upstreams": {name: entry | {"era": "legacy"} for name, entry in upstreams.items()},
        "namespaces": {name: {"upstream": name} for name in upstreams},
        "keys": [{"key": EVERYWHERE, "user_id": "everywhere", "all_namespaces": True}],
    }
    with Gateways(request) as start:
        yield start(workers=2, config=config, env={"GATEWAY_PROBE_INTERVAL_S": str(CHECK_S)})


def _hanging(full: bool) -> str:
    return "a-full" if full else "a"


class Client:
    """Calls namespaces of the gateway; one keeps a few connections open."""

    def __init__(self, gateway: Gateway) -> None:
        self.port = gateway.port
        self._idle: list[Connection] = []

    async def call(self, namespace: str) -> tuple[Answer, float]:
        """Make one call; return its answer and how long it took, in seconds."""
        connection = self._idle.pop() if self._idle else await Connection.open(self.port)
        begun = time.perf_counter()
        call = tool_call("echo", {"n": 1})
        answer = await connection.call("POST", f"/mcp/{namespace}", protocol_headers(EVERYWHERE), call)
        took_s = time.perf_counter() - begun
        self._idle.append(connection)
        return answer, took_s

    async def steadily(self, namespace: str, seconds: float) -> tuple[list[float], int]:
        """Call RATE times a second, whatever the answers do; return the milliseconds of each and the failures."""
        begun, calls = time.perf_counter(), []
        for number in range(int(RATE * seconds)):
            await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
            calls.append(asyncio.create_task(self.call(namespace)))
        done = await asyncio.gather(*calls, return_exceptions=True)
        took = [one[1] * 1000 for one in done if isinstance(one, tuple) and one[0].status == 200]
        return took, len(done) - len(took)

    async def until_closed(self) -> float:
        """Call `c` ten times a second until ten calls in a row succeed; return when the first of them was made (s)."""
        begun = time.perf_counter()
        first, good = 0.0, 0
        async with asyncio.timeout(60):
            while good < 10:
                at = time.perf_counter() - begun
                answer, _ = await self.call("c")
                first, good = (first if good else at, good + 1) if answer.status == 200 else (0.0, 0)
                await asyncio.sleep(0.1)
        return first


def _p99(milliseconds: list[float]) -> float:
    return statistics.quantiles(milliseconds, n=100)[98]


async def test_an_upstream_that_hangs_is_felt_by_no_other(gateway: Gateway, full: bool, figure: Figure) -> None:
    steady, a = Client(gateway), _hanging(full)
    seconds = DEADLINE_S[full] - 10
    await steady.steadily("b", 1)
    alone, failed_alone = await steady.steadily("b", seconds)
    calls = [asyncio.create_task(Client(gateway).call(a)) for _ in range(HANGING)]
    await asyncio.sleep(2)
    beyond = [await Client(gateway).call(a) for _ in range(FULL_CALLS)]
    beside, failed = await steady.steadily("b", seconds)
    still_open = sum(not call.done() for call in calls)
    answers = await asyncio.gather(*calls)
    before, now = _p99(alone), _p99(beside)
    bound = max(1.2 * before, before + 20)
    slowest_beyond = max(took_s for _, took_s in beyond) * 1000
    late_s = max(took_s for _, took_s in answers) - DEADLINE_S[full]
    timed_out = sum(answer.status == 504 for answer, _ in answers)
    refused = sum(answer.status == 503 for answer, _ in beyond)
    figure(
        "P8",
        f"{still_open} calls hang at A, B is called {RATE} times a second for {seconds:g} s; 2 workers",
        f"B: p99 {now:.1f} ms (alone {before:.1f}), {failed + failed_alone} failed; A: {timed_out} × 504 at most "
        f"{late_s:+.2f} s after the deadline, calls beyond its limit: {refused} × 503 within {slowest_beyond:.1f} ms",
        f"B: p99 ≤ max(1.2 × alone, alone + 20 ms), 0 failed; A: {HANGING} × 504 within 1 s, {FULL_CALLS} × 503",
    )
    assert failed == failed_alone == 0
    assert timed_out == HANGING == still_open
    assert late_s <= 1
    assert refused == FULL_CALLS
    assert now <= bound


@pytest.mark.parametrize("behaviour", ["status-500", "reset", "hang"])
async def test_an_upstream_that_is_down_is_left_alone_and_found_again(
    gateway: Gateway, hostile: str, behaviour: str, figure: Figure
) -> None:
    client = Client(gateway)
    _switch(hostile, "ok")
    await client.until_closed()
    _switch(hostile, behaviour)
    before_it_opened = 0
    while _reason_of((await client.call("c"))[0]) != "circuit_open":
        before_it_opened += 1
    took, inside = [], []
    while len(took) < OPEN_CALLS:
        answer, took_s = await client.call("c")
        if _reason_of(answer) == "circuit_open":  # a check may let probes pass meanwhile
            took.append(took_s * 1000)
            inside.append(float(answer.headers["x-response-time-ms"]))
        await asyncio.sleep(0.005)
    _switch(hostile, "ok")
    recovered_s = await client.until_closed()
    figure(
        "P9",
        f"an upstream goes bad ({behaviour}), then well again; checks each {CHECK_S:g} s, 2 workers",
        f"opened after {before_it_opened} calls; then answered within {_p99(took):.1f} ms (p99 of {len(took)}; "
        f"{_p99(inside):.1f} ms inside); {recovered_s:.2f} s to the first of ten good calls in a row",
        f"open: ≤ {OPEN_FLOOR_MS:g} ms; recovered: ≤ {RECOVERY_FLOOR_S:g} s",
    )
    assert _p99(took) <= OPEN_FLOOR_MS
    assert recovered_s <= RECOVERY_FLOOR_S


def _switch(hostile: str, behaviour: str) -> None:
    urllib.request.urlopen(f"{hostile}/_switch/{behaviour}").close()


def _reason_of(answer: Answer) -> str:
    error = answer.json().get("error") or {}
    return str((error.get("data") or {}).get("reason", ""))
