"""P6, P7, P31: whatever an upstream does, its calls end in time and cost nothing that stays."""

from __future__ import annotations

import asyncio
import json
import random
import time
import urllib.request

from tests.proxy.plane import HOSTILE_DEADLINE_S
from tests.reliability.client import Connection, protocol_headers, tool_call
from tests.reliability.conftest import EVERYWHERE, Figure, Watched
from tests.reliability.meter import settled
from tests.upstreams.hostile import BEHAVIOURS

AT_ONCE = 20


async def _call(port: int, behaviour: str, number: int) -> float:
    """Call through the namespace of a behaviour; return how long its answer took. Raises unless it was an answer."""
    connection = await Connection.open(port)
    begun = time.monotonic()
    accept = {"Accept": ("application/json", "text/event-stream", "application/json, text/event-stream")[number % 3]}
    headers = protocol_headers(EVERYWHERE, bare=True) | accept
    async with asyncio.timeout(30):
        answer = await connection.call("POST", f"/mcp/h-{behaviour}", headers, tool_call("echo", {}, number))
    took = time.monotonic() - begun
    connection.close()
    body = answer.body
    if answer.headers["content-type"] == "text/event-stream":
        body = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")][-1]
    message = json.loads(body)
    assert message["id"] == number and ("result" in message) != ("error" in message), (behaviour, body[:300])
    return took


async def test_no_behaviour_of_an_upstream_exhausts_the_gateway(watched: Watched, full: bool, figure: Figure) -> None:
    port, meter = watched.gateway.port, watched.meter
    for number in range(3):
        await _call(port, "ok", number)
    await asyncio.sleep(1)
    descriptors, tasks = meter.descriptors, meter.tasks
    times = 20 if full else 4
    waiting = [(behaviour, number) for number in range(times) for behaviour in BEHAVIOURS]
    random.Random(1).shuffle(waiting)
    took: dict[str, float] = {}
    failures: list[str] = []

    async def work() -> None:
        while waiting:
            behaviour, number = waiting.pop()
            try:
                took[behaviour] = max(took.get(behaviour, 0.0), await _call(port, behaviour, number))
            except Exception as error:
                failures.append(f"{behaviour}: {error!r}")

    async with meter.watching():
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    left = await settled(meter, descriptors, tasks, within_s=10)
    with urllib.request.urlopen(watched.hostile.rstrip("/") + "/_seen") as answer:
        still_open = json.load(answer)["open"] - 1  # this very request
    slowest = max(took, key=lambda name: took[name])
    figure(
        "P6, P31",
        f"{len(BEHAVIOURS)} behaviours of a hostile upstream × {times}, {AT_ONCE} at once, deadline "
        f"{HOSTILE_DEADLINE_S:g} s, answers of at most 1 MiB",
        f"{len(failures)} calls without an answer; slowest {took[slowest]:.2f} s ({slowest}); memory "
        f"+{meter.grown / (1 << 20):.1f} MiB; descriptors {descriptors} → {left[0]}, "
        f"tasks {tasks} → {left[1]}; {meter.lag}",
        "all answered ≤ deadline + 1 s; memory ≤ 64 MiB; descriptors and tasks back (+ 2); lag p99 ≤ 50 ms",
    )
    assert not failures, failures[:5]
    assert took[slowest] <= HOSTILE_DEADLINE_S + 1
    assert meter.grown <= 64 << 20
    assert left[0] <= descriptors + 2 and left[1] <= tasks + 2
    assert still_open <= 0
    assert meter.lag.holds(full)


async def test_decompression_bombs_are_refused_at_their_head(watched: Watched, full: bool, figure: Figure) -> None:
    """The bytes that a client would inflate to 512 MiB."""
    port, meter, times = watched.gateway.port, watched.meter, 10 if full else 3
    await _call(port, "gzip-bad", 1)
    took = []
    async with meter.watching():
        for number in range(times):
            took.append(await _call(port, "gzip-bomb", number))
    figure(
        "P7",
        f"an answer of 512 MiB compressed a thousand times, × {times}; limit 1 MiB",
        f"refused after {max(took):.2f} s at most; memory +{meter.grown / (1 << 20):.1f} MiB",
        "≤ 2 s; memory ≤ 2 × the limit",
    )
    assert max(took) <= 2
    assert meter.grown <= 2 << 20
