"""What a call did is to be seen within two seconds: in the log, in sums and series over REST, and in the live view."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.gateway import Gateway
from tests.live.client import Live, People
from tests.reliability.client import Answer, Connection, protocol_headers, tool_call
from tests.reliability.conftest import KEYS, Figure

FLOOR_S = 2.0
USER = NAMESPACE = "first"
# The roll-ups are a second behind the clock and more: a call as long as this began in a time that they cover already.
SLOW_MS = 3500
_POLL_S = 0.03
_HOUR = {"period": "1h", "user": USER}
Times = dict[str, list[float]]


class Reader:
    """Asks the REST API as an administrator, over a new connection each time, so that any worker may answer."""

    def __init__(self, gateway: Gateway, session: str) -> None:
        once = httpx.Limits(max_keepalive_connections=0)
        cookies = {"gateway_session": session}
        self._client = httpx.AsyncClient(base_url=gateway.base, cookies=cookies, limits=once, timeout=10)

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def _get(self, path: str, **parameters: str) -> Any:
        answer = await self._client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def logged(self, request_id: str) -> int:
        """Return how many calls of the log have this request id."""
        return len((await self._get("/api/v1/requests", period="1h", request_id=request_id))["requests"])

    async def used(self) -> int:
        """Return how many calls the usage of the last hour counts."""
        results = (await self._get("/analytics/usage", **_HOUR))["results"]
        return sum(row["request_count"] for row in results if row["user_id"] == USER)

    async def plotted(self) -> int:
        """Return how many calls the time series of the last hour adds up to."""
        return sum(point["value"] for point in (await self._get("/analytics/timeseries", **_HOUR))["data"])


@asynccontextmanager
async def _live_views(gateway: Gateway, session: str) -> AsyncIterator[list[Live]]:
    """Open four live views for each worker, so that every worker is likely to have one."""
    views = [await Live.open(gateway, session) for _ in range(4 * gateway.workers)]
    await asyncio.gather(*(view.listening() for view in views))
    try:
        yield views
    finally:
        await asyncio.gather(*(view.close() for view in views))


async def _call(connection: Connection, arguments: Mapping[str, object]) -> Answer:
    body = tool_call("sleep" if arguments else "echo", arguments)
    answer = await connection.call("POST", f"/mcp/{NAMESPACE}", protocol_headers(KEYS[USER]), body)
    assert answer.status == 200
    return answer


async def _until(expected: int, ask: Callable[[], Awaitable[int]], begun: float) -> float:
    """Ask until the number is there and return how long that took since `begun`. More than that is a fault."""
    while (found := await ask()) < expected:
        assert time.monotonic() < begun + 30, f"{found} of {expected} are to be seen after half a minute"
        await asyncio.sleep(_POLL_S)
    assert found == expected, f"{found} are counted, and there were {expected} calls"
    return time.monotonic() - begun


async def _in_live_views(views: Sequence[Live], identifier: str, begun: float) -> float:
    def has(message: Mapping[str, Any]) -> bool:
        return any(row["id"].replace("-", "") == identifier for row in message.get("rows", ()))

    await asyncio.gather(*(view.until(has, 30) for view in views))
    return time.monotonic() - begun


async def _seen(reader: Reader, views: Sequence[Live], port: int, number: int, slow: bool) -> dict[str, float]:
    """Make a call, the `number`-th of its user, and return how long it took to be seen in each place, in seconds.

    Counted from when the call was sent; from its answer where the call itself is a slow one.
    """
    connection = await Connection.open(port)
    begun = time.monotonic()
    answer = await _call(connection, {"ms": SLOW_MS} if slow else {})
    begun = time.monotonic() if slow else begun
    connection.close()
    identifier = answer.headers["x-request-id"]  # we sent none, so it is the call's own id
    took = await asyncio.gather(
        _until(1, lambda: reader.logged(identifier), begun),
        _until(number, reader.used, begun),
        _until(number, reader.plotted, begun),
        _in_live_views(views, identifier, begun),
    )
    return dict(zip(("log", "usage", "series", "live view"), took, strict=True))


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_call_is_seen_within_two_seconds(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], workers: int, full: bool, figure: Figure
) -> None:
    quick, slow = (50, 12) if full else (10, 2)
    env = {"GATEWAY_REST_RATE": "1000000/m", "GATEWAY_PROBE_INTERVAL_S": "0"}
    gateway = await asyncio.to_thread(make_gateway, workers=workers, config=config, env=env)
    session = (await asyncio.to_thread(People.made, gateway)).sessions["root"]
    chance = random.Random(workers)
    order = chance.sample([False] * quick + [True] * slow, quick + slow)
    reader = Reader(gateway, session)
    times: dict[bool, Times] = {False: {}, True: {}}
    async with _live_views(gateway, session) as views:
        for number, is_slow in enumerate(order, start=1):
            await asyncio.sleep(chance.uniform(0, 1.2))
            for place, took in (await _seen(reader, views, gateway.port, number, is_slow)).items():
                times[is_slow].setdefault(place, []).append(took)
    await reader.close()
    figure(
        "freshness",
        f"{quick} calls at random moments, and {slow} that take {SLOW_MS / 1000:g} s; {workers} worker"
        f"{'s' if workers > 1 else ''}",
        f"seen after (median, longest, in s) {_words(times[False])}; after the end of a long one {_words(times[True])}",
        f"≤ {FLOOR_S:g} s",
    )
    slowest = max(took for kind in times.values() for place in kind.values() for took in place)
    assert slowest <= FLOOR_S


def _words(times: Times) -> str:
    return ", ".join(f"{place} {statistics.median(took):.2f}, {max(took):.2f}" for place, took in times.items())
