"""Latency that is added at one connection: direct, bare and gateway calls in turn over three kept connections."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from benchmarks.rig import BODY, HEADERS, Rig
from benchmarks.ways import PLAIN_HEADERS

FLOOR_MS = 0.3


class Caller:
    """One keep-alive connection that sends the same POST again and again."""

    def __init__(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        parts = urlsplit(url)
        self.connection = socket.create_connection((parts.hostname or "", parts.port or 80))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = [f"POST {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    def call(self) -> float:
        """Make one call and return how long it took until its last byte, in milliseconds."""
        begun = time.perf_counter()
        self.connection.sendall(self.request)
        answer = self.connection.recv(65536)
        while not _is_complete(answer):
            more = self.connection.recv(65536)
            if not more:
                raise RuntimeError(f"the connection was closed after {answer[:200]!r}")
            answer += more
        took_ms = (time.perf_counter() - begun) * 1000
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"the answer is {answer[:500]!r}")
        return took_ms


def _is_complete(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    _, _, length = head.lower().partition(b"content-length: ")
    return len(body) >= int(length.partition(b"\r\n")[0])


def measure(rig: Rig, calls: int) -> dict[str, Any]:
    """Return p50 and p99 of each way in milliseconds, and what bare and gateway add to a direct call at p50."""
    callers = {
        "direct": Caller(rig.upstream, PLAIN_HEADERS, BODY),
        "bare": Caller(rig.bare, PLAIN_HEADERS, BODY),
        "gateway": Caller(rig.url, HEADERS, BODY),
    }
    for caller in callers.values():
        for _ in range(50):
            caller.call()
    times: dict[str, list[float]] = {name: [] for name in callers}
    for _ in range(calls):
        for name, caller in callers.items():
            times[name].append(caller.call())
    p50 = {name: statistics.median(values) for name, values in times.items()}
    p99 = {name: statistics.quantiles(values, n=100)[98] for name, values in times.items()}
    added = p50["gateway"] - p50["direct"]
    return {
        "calls": calls,
        "p50_ms": p50,
        "p99_ms": p99,
        "added_p50_ms": added,
        "bare_added_p50_ms": p50["bare"] - p50["direct"],
        "ok": added <= FLOOR_MS,
    }
