"""Event latency of streams: how long after the upstream sent an event it is at the client, direct and through us.

Every event says when it was sent (monotonic clock, one for all processes of a host).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from benchmarks.rig import HEADERS, Rig

FLOOR_MS = 10.0
STREAMS = 20
INTERVAL_MS = 100


class StreamClient(asyncio.Protocol):
    """Asks for one stream on a connection of its own and notes when each chunk came."""

    def __init__(self, request: bytes, ended: asyncio.Future[None]) -> None:
        self.request = request
        self.ended = ended
        self.chunks: list[tuple[float, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Note the moment; the bytes are read afterwards."""
        self.chunks.append((time.monotonic(), data))
        if data.endswith(b"0\r\n\r\n"):
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream is over."""
        if not self.ended.done():
            self.ended.set_result(None)

    def events(self) -> list[tuple[float, float]]:
        """Return (sent, arrived) of each event, in seconds. An event arrives with its last byte."""
        found: list[tuple[float, float]] = []
        text = b""
        for arrived, data in self.chunks:
            text += data
            *lines, text = text.split(b"\n")
            for line in lines:
                if line.startswith(b"data:") and b"sent_at" in line:
                    found.append((json.loads(line[5:])["params"]["data"]["sent_at"], arrived))
        return found


async def _run(url: str, headers: Mapping[str, str], count: int) -> list[list[tuple[float, float]]]:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(STREAMS):
        call = {"name": "stream", "arguments": {"count": count, "interval_ms": INTERVAL_MS}}
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call}).encode()
        lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
        client = StreamClient(request, loop.create_future())
        await loop.create_connection(lambda client=client: client, parts.hostname, parts.port)  # type: ignore[misc]
        clients.append(client)
        await asyncio.sleep(INTERVAL_MS / 1000 / STREAMS)
    async with asyncio.timeout(count * INTERVAL_MS / 1000 + 20):
        await asyncio.gather(*(client.ended for client in clients))
    return [client.events() for client in clients]


def measure(rig: Rig, seconds: float) -> dict[str, Any]:
    """Return the percentiles of both ways in milliseconds, their difference at p99, and how many events waited.

    An event that is at the client only after its successor was sent has been held back somewhere.
    """
    count = int(seconds * 1000 / INTERVAL_MS)
    runs = {
        name: asyncio.run(_run(url, HEADERS, count))
        for name, url in (("direct", rig.streams), ("gateway", rig.gateway.url("events")))
    }
    result: dict[str, Any] = {"streams": STREAMS, "events_per_s": 1000 / INTERVAL_MS, "seconds": seconds}
    for name, streams in runs.items():
        latencies = [(arrived - sent) * 1000 for events in streams for sent, arrived in events]
        assert len(latencies) == STREAMS * count, f"{name}: {len(latencies)} of {STREAMS * count} events arrived"
        cut = statistics.quantiles(latencies, n=100)
        result[name] = {"events": len(latencies), "p50_ms": cut[49], "p99_ms": cut[98], "max_ms": max(latencies)}
    result["held_back"] = sum(
        arrived >= following[0] for events in runs["gateway"] for (_, arrived), following in itertools.pairwise(events)
    )
    result["added_p99_ms"] = result["gateway"]["p99_ms"] - result["direct"]["p99_ms"]
    result["ok"] = result["added_p99_ms"] <= FLOOR_MS and result["held_back"] == 0
    return result
