"""`python -m benchmarks.brakes`: bulkheads (P8) and circuit breakers (P9), measured with real processes.

Gateways and upstreams are processes of their own. Exits 1 when a floor is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import machine, report

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
import tests.settings  # noqa: F401 - the secrets that the gateway under test starts with
from keys import secrets
from tests.gateway import Gateway
from tests.reliability.client import Answer, Connection, protocol_headers, tool_call
from tests.upstreams.listening import started

HANGING = 200
RATE = 50
CHECK_S = 2.0
OPEN_CALLS = 200
OPEN_FLOOR_MS = 10.0
RECOVERY_FLOOR_S = 10.0
KEYS = {name: secrets.generate() for name in ("hanging", "steady")}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure with its floor."""

    name: str
    load: str
    found: str
    floor: str
    held: bool


def configuration(upstreams: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what the gateway publishes: each upstream as a namespace of its name."""
    return {
        "version": 1,
        "upstreams": {name: upstream | {"era": "legacy"} for name, upstream in upstreams.items()},
        "namespaces": {name: {"upstream": name} for name in upstreams},
        "keys": [{"key": key, "user_id": user, "all_namespaces": True} for user, key in KEYS.items()],
    }


def hanging_and_well(echo: str, hostile: str, deadline_s: float) -> dict[str, dict[str, Any]]:
    """Return upstream `a`, which hangs, and `b`, which answers."""
    a = {
        "url": f"{hostile}/hang",
        "max_concurrency": HANGING,
        "queue_length": 0,
        "circuit_breaker_threshold": 0,
        "timeouts": {"first_byte": deadline_s, "total": deadline_s},
    }
    return {"a": a, "b": {"url": echo}}


class Client:
    """Calls namespaces of the gateway; one keeps a few connections open."""

    def __init__(self, port: int, user: str) -> None:
        self.port = port
        self.headers = protocol_headers(KEYS[user])
        self._idle: list[Connection] = []

    async def call(self, namespace: str) -> tuple[Answer, float]:
        """Make one call; return its answer and how long it took, in seconds."""
        connection = self._idle.pop() if self._idle else await Connection.open(self.port)
        begun = time.perf_counter()
        answer = await connection.call("POST", f"/mcp/{namespace}", self.headers, tool_call("echo", {"n": 1}))
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


def p99(milliseconds: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(milliseconds, n=100)[98] if len(milliseconds) > 1 else float("inf")


async def bulkhead(gateway: Gateway, seconds: float, deadline_s: float) -> list[Row]:
    """P8: what B's callers notice of 200 calls that hang at A, and what A's callers get."""
    steady = Client(gateway.port, "steady")
    await steady.steadily("b", 3)
    alone, failed_alone = await steady.steadily("b", seconds)
    hanging = [Client(gateway.port, "hanging") for _ in range(HANGING)]
    calls = [asyncio.create_task(client.call("a")) for client in hanging]
    await asyncio.sleep(2)
    full = [await Client(gateway.port, "hanging").call("a") for _ in range(20)]
    beside, failed = await steady.steadily("b", seconds)
    open_calls = sum(not call.done() for call in calls)
    answers = await asyncio.gather(*calls)
    before, now = p99(alone), p99(beside)
    bound = max(1.2 * before, before + 20)
    slowest_full = max(took_s for _, took_s in full) * 1000
    late = max(took_s for _, took_s in answers) - deadline_s
    timed_out = sum(answer.status == 504 for answer, _ in answers)
    refused = sum(answer.status == 503 for answer, _ in full)
    load = f"B at {RATE}/s for {seconds:g} s, {open_calls} calls hanging at A"
    return [
        Row("P8 B's p99", load, f"{now:.1f} ms (alone {before:.1f} ms)", f"≤ {bound:.1f} ms", now <= bound),
        Row("P8 B's errors", load, str(failed + failed_alone), "0", failed + failed_alone == 0),
        Row(
            "P8 A's calls",
            f"{HANGING} at once, deadline {deadline_s:g} s",
            f"{timed_out} × 504, at most {late:+.2f} s after it",
            f"{HANGING} × 504, ≤ +1 s",
            timed_out == HANGING == open_calls and late <= 1,
        ),
        Row(
            "P8 calls beyond A's limit",
            "20, one after the other",
            f"{refused} × 503, slowest {slowest_full:.1f} ms",
            "20 × 503, at once",
            refused == 20 and slowest_full <= 50,
        ),
    ]


def switch(hostile: str, behaviour: str) -> None:
    """Make upstream C behave so from now on."""
    urllib.request.urlopen(f"{hostile}/_switch/{behaviour}").close()


def reason_of(answer: Answer) -> str:
    """Return the gateway's reason code; empty for an answer without one."""
    error = answer.json().get("error") or {}
    return str((error.get("data") or {}).get("reason", ""))


async def breaker(gateway: Gateway, hostile: str, behaviour: str) -> list[Row]:
    """P9: how soon calls of an open circuit are answered, and how soon it closes once the upstream is well."""
    client = Client(gateway.port, "steady")
    switch(hostile, "ok")
    await _until_closed(client)
    switch(hostile, behaviour)
    calls = 0
    while reason_of((await client.call("c"))[0]) != "circuit_open":
        calls += 1
    took, inside = [], []
    while len(took) < OPEN_CALLS:
        answer, took_s = await client.call("c")
        if reason_of(answer) == "circuit_open":  # a check may let probes pass meanwhile
            took.append(took_s * 1000)
            inside.append(float(answer.headers["x-response-time-ms"]))
        await asyncio.sleep(0.005)
    switch(hostile, "ok")
    recovered = await _until_closed(client)
    load = f"{behaviour}, then well; checks each {CHECK_S:g} s"
    found = f"p99 {p99(took):.1f} ms of {len(took)} ({p99(inside):.1f} ms in the gateway); opened after {calls} calls"
    return [
        Row("P9 calls of an open circuit", load, found, f"≤ {OPEN_FLOOR_MS:g} ms", p99(took) <= OPEN_FLOOR_MS),
        Row(
            "P9 recovered",
            load,
            f"{recovered:.2f} s after it",
            f"≤ {RECOVERY_FLOOR_S:g} s",
            recovered <= RECOVERY_FLOOR_S,
        ),
    ]


async def _until_closed(client: Client) -> float:
    """Call ten times a second until ten calls in a row succeed; return when the first of them was made, in seconds."""
    begun = time.perf_counter()
    first, good = 0.0, 0
    while good < 10:
        if time.perf_counter() - begun > 120:
            return float("inf")
        at = time.perf_counter() - begun
        answer, _ = await client.call("c")
        if answer.status == 200:
            first, good = (at if good == 0 else first), good + 1
        else:
            good = 0
        await asyncio.sleep(0.1)
    return first


async def measure(seconds: float, workers: int) -> list[Row]:
    """Run everything and return the rows."""
    deadline_s = seconds + 10
    with contextlib.ExitStack() as stack:
        echo = stack.enter_context(started("tests.upstreams.echo_fast"))
        hostile = stack.enter_context(started("tests.upstreams.hostile"))
        with running(hanging_and_well(echo, hostile, deadline_s), workers) as gateway:
            rows = await bulkhead(gateway, seconds, deadline_s)
        times = {"connect": "1s", "first_byte": "1s", "total": "5s"}
        with running({"c": {"url": f"{hostile}/switched", "timeouts": times}}, workers) as gateway:
            for behaviour in ("status-500", "reset", "hang"):
                rows += await breaker(gateway, hostile, behaviour)
    return rows


@contextlib.contextmanager
def running(upstreams: dict[str, dict[str, Any]], workers: int) -> Iterator[Gateway]:
    """Yield a gateway before `upstreams`."""
    env = {"GATEWAY_PROBE_INTERVAL_S": str(CHECK_S)}
    gateway = Gateway(config=configuration(upstreams), workers=workers, env=env)
    try:
        yield gateway.start(ready_within_s=150)
    finally:
        gateway.stop()


def main() -> int:
    """Measure, print the table, write it when --write; the exit code is 1 when a floor was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.brakes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="how long B is measured, alone and beside A")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="also write results/")
    options = parser.parse_args()
    about = machine.describe()
    rows = asyncio.run(measure(options.seconds, options.workers))
    cells = [[row.name, row.load, row.found, row.floor, "holds" if row.held else "**missed**"] for row in rows]
    body = report.table(["figure", "load", "found", "floor", ""], cells)
    print(body)
    if options.write:
        figures = {"rows": cells, "workers": options.workers}
        print(f"\nWritten: {report.write('brakes', 'Bulkheads and circuit breakers', about, body, figures)}")
    return 0 if all(row.held for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
