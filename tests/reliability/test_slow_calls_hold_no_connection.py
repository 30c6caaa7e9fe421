"""While upstreams are awaited no database connection is held, and whoever reads meanwhile shares a bounded pool."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from tests import routes
from tests.gateway import Gateway, wait_for
from tests.reliability.client import Answer, Connection, protocol_headers, text_of, tool_call
from tests.reliability.conftest import KEYS, Figure, Upstream

CALLS, READERS, WORKERS = 500, 12, 2
# GATEWAY settings: at most this many connections for a worker's views; maintain's own jobs take one now and then.
POOL_SIZE, HOUSEKEEPING = 8, 1
SAMPLE_S = 0.1
# A transaction of a page is idle while Python works between two statements. One that waits for an upstream would be
# idle for as long as the calls take.
HELD_S = 1.0
_LOOK = """
    SELECT count(*) FILTER (WHERE state LIKE 'idle in transaction%%' AND {own}),
           coalesce(max(extract(epoch FROM clock_timestamp() - state_change))
               FILTER (WHERE state LIKE 'idle in transaction%%'), 0),
           count(*) FILTER (WHERE application_name = ''),
           count(*) FILTER (WHERE application_name <> '')
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
# Connections of workers; shipper and upkeep have transactions of their own, which no call waits in.
_OF_WORKERS = "application_name IN ('', 'gateway worker', 'gateway live view')"


@dataclass
class Activity:
    """What pg_stat_activity showed, ten times a second: the most of each at any one sample."""

    samples: int = 0
    idle_in_transaction: int = 0  # connections of workers
    longest_idle_s: float = 0.0  # whose connection ever
    pooled: int = 0  # connections of views, and of what else runs under Django
    fixed: int = 0  # connections with a name: LISTEN, shipper, upkeep

    @contextmanager
    def watched(self, url: str) -> Iterator[None]:
        """Look for the length of a `with` block."""
        stop = threading.Event()
        thread = threading.Thread(target=self._look, args=(url, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _look(self, url: str, stop: threading.Event) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not stop.wait(SAMPLE_S):
                row = connection.execute(_LOOK.format(own=_OF_WORKERS), []).fetchone()
                assert row is not None
                self.samples += 1
                self.idle_in_transaction = max(self.idle_in_transaction, int(row[0]))
                self.longest_idle_s = max(self.longest_idle_s, float(row[1]))
                self.pooled = max(self.pooled, int(row[2]))
                self.fixed = max(self.fixed, int(row[3]))


@dataclass
class Reading:
    """Twelve people who open one page or REST address after the other."""

    base: str
    cookies: Mapping[str, str]
    paths: list[str]
    statuses: list[tuple[str, int]] = field(default_factory=list)

    def read(self, until: float) -> None:
        """Read until a moment of the monotonic clock."""
        with ThreadPoolExecutor(READERS) as threads:
            list(threads.map(self._one, range(READERS), [until] * READERS))

    def _one(self, number: int, until: float) -> None:
        with httpx.Client(base_url=self.base, cookies=dict(self.cookies), timeout=30) as client:
            while time.monotonic() < until:
                path = self.paths[number % len(self.paths)]
                self.statuses.append((path, client.get(path).status_code))
                number += 1


def _paths(gateway: Gateway) -> list[str]:
    """Return every page and REST address, about a call that was made."""
    answer = gateway.call("first", KEYS["first"], "tools/call", {"name": "echo", "arguments": {}})
    identifier = answer.headers["x-request-id"]
    found = wait_for(
        lambda: gateway.query("SELECT key_id FROM analytics_requestlog WHERE request_id = %s", identifier), 10
    )
    names = {
        "namespace": "first",
        "upstream": "light",
        "user": "first",
        "tool": "echo",
        "key": found[0][0],
        "call": uuid.UUID(identifier),
    }
    return [route.path(names) for route in routes.readable()]


async def _slow_call(port: int, number: int, milliseconds: int) -> Answer:
    connection = await Connection.open(port)
    try:
        arguments = {"ms": milliseconds, "nonce": f"slow-{number}-"}
        return await connection.call(
            "POST", "/mcp/first", protocol_headers(KEYS["first"]), tool_call("sleep", arguments, number)
        )
    finally:
        connection.close()


async def test_slow_calls_hold_no_connection(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], upstream: Upstream, full: bool, figure: Figure
) -> None:
    seconds = 45 if full else 15
    env = {"GATEWAY_REST_RATE": "1000000/m", "GATEWAY_PROBE_INTERVAL_S": "0"}
    gateway = await asyncio.to_thread(make_gateway, workers=WORKERS, config=config, env=env)
    admin = await asyncio.to_thread(gateway.admin)
    reading = Reading(gateway.base, dict(admin.cookies), await asyncio.to_thread(_paths, gateway))
    alone, read = Activity(), Activity()
    before = await asyncio.to_thread(upstream.count)

    calls = [asyncio.create_task(_slow_call(gateway.port, number, seconds * 1000)) for number in range(CALLS)]
    begun = time.monotonic()
    while (now := await asyncio.to_thread(upstream.count))["calls"] < before["calls"] + CALLS:
        assert time.monotonic() < begun + seconds, f"only {now['calls'] - before['calls']} calls are under way"
        await asyncio.sleep(0.05)
    all_at = time.monotonic()
    with alone.watched(gateway.sql_url):
        await asyncio.sleep(3)
    with read.watched(gateway.sql_url):
        # Whoever has asked last gets an answer while the calls still wait, also on a busy machine.
        await asyncio.to_thread(reading.read, begun + seconds - 5)
    in_flight = sum(not call.done() for call in calls)
    answers = await asyncio.gather(*calls, return_exceptions=True)

    good = sum(
        isinstance(answer, Answer) and answer.status == 200 and f"slow-{number}-" in text_of(answer)
        for number, answer in enumerate(answers)
    )
    strange = sorted({(path, status) for path, status in reading.statuses if status != 200})
    pool = WORKERS * POOL_SIZE
    figure(
        "connections",
        f"{CALLS} calls of {seconds} s in flight on {WORKERS} workers (all after {all_at - begun:.1f} s), then "
        f"{READERS} readers of {len(reading.paths)} pages and REST addresses ({len(reading.statuses):,} answers)",
        f"{good} calls answered; idle in transaction: {alone.idle_in_transaction} in {alone.samples} samples, while "
        f"pages are read for {read.longest_idle_s * 1000:.0f} ms at most ({read.samples} samples); connections of "
        f"views {alone.pooled}, then {read.pooled}; others {max(alone.fixed, read.fixed)}",
        f"all answered; 0 idle in transaction, with readers none for {HELD_S:g} s; views ≤ {pool}",
    )
    assert in_flight == CALLS, "the calls were over before the readers"
    assert good == CALLS
    assert alone.samples > 10 and alone.idle_in_transaction == 0
    assert read.samples > 10 and read.longest_idle_s < HELD_S
    assert max(alone.pooled, read.pooled) <= pool + HOUSEKEEPING
    assert len(reading.statuses) > READERS and not strange
