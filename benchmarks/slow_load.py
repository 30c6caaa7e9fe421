"""Load for what answers a few dozen calls a second: every connection's calls are waited for, however long they take.

wrk stops when its time is over and leaves what is under way uncounted, and unfinished beside what is measured next.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.load import Load
from tests.reliability.client import Broken, Connection

_CALL_S = 120.0


@dataclass(slots=True)
class _Calls:
    """What came of the calls: how long each that was answered well took, in milliseconds, and how many were not."""

    took_ms: list[float] = field(default_factory=list)
    failed: int = 0


def run(url: str, body: bytes, headers: Mapping[str, str], seconds: float, connections: int) -> Load:
    """POST `body` over some connections: each makes a call at least, and another one while `seconds` are not over."""
    calls = _Calls()
    begun = time.perf_counter()
    asyncio.run(_all(url, body, headers, begun + seconds, connections, calls))
    took_s = time.perf_counter() - begun
    answered = len(calls.took_ms)
    p50_ms = statistics.median(calls.took_ms) if calls.took_ms else 0.0
    return Load(answered + calls.failed, answered / took_s, calls.failed, p50_ms)


async def _all(
    url: str, body: bytes, headers: Mapping[str, str], until: float, connections: int, calls: _Calls
) -> None:
    one = (_one_after_the_other(url, body, headers, until, calls) for _ in range(connections))
    await asyncio.gather(*one)


async def _one_after_the_other(url: str, body: bytes, headers: Mapping[str, str], until: float, calls: _Calls) -> None:
    """Make calls over one connection; a failure ends it."""
    parts = urlsplit(url)
    connection = await Connection.open(parts.port or 80)
    try:
        while True:
            begun = time.perf_counter()
            answer = await asyncio.wait_for(connection.call("POST", parts.path, headers, body), _CALL_S)
            now = time.perf_counter()
            if answer.status != 200 or b'"isError":true' in answer.body:
                calls.failed += 1
                return
            calls.took_ms.append((now - begun) * 1000)
            if now >= until:
                return
    except (Broken, TimeoutError):
        calls.failed += 1
    finally:
        connection.close()
