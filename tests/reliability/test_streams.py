"""P30, P31: a stream that is silent costs little, and one that nobody reads is bounded and ended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

from tests.reliability.client import Connection, protocol_headers, tool_call
from tests.reliability.conftest import EVERYWHERE, SEND_S, Figure, Watched
from tests.reliability.meter import WorkerMeter, settled

READERS = 20


async def _open_stream(port: int, namespace: str, receive_buffer: int = 0) -> Connection:
    """Open a standing stream and return its connection once its head is there."""
    raw = socket.create_connection(("127.0.0.1", port))
    if receive_buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection = Connection(*await asyncio.open_connection(sock=raw, limit=receive_buffer or 65536))
    connection.send("GET", f"/mcp/{namespace}", protocol_headers(EVERYWHERE) | {"Accept": "text/event-stream"})
    status, headers = await connection.head()
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    return connection


async def _cut_after(meter: WorkerMeter, descriptors: int) -> float:
    """Wait until so many descriptors are left; return for how long nothing had been read from upstreams by then."""
    begun = moved = time.monotonic()
    read = meter.total_read
    while meter.descriptors > descriptors + 2 and time.monotonic() < begun + 30:
        await asyncio.sleep(0.05)
        if meter.total_read > read + (64 << 10):
            read, moved = meter.total_read, time.monotonic()
    return time.monotonic() - moved


async def _one_call(port: int) -> None:
    connection = await Connection.open(port)
    answer = await connection.call("POST", "/mcp/first", protocol_headers(EVERYWHERE), tool_call("echo", {}))
    assert answer.status == 200
    connection.close()


async def test_a_thousand_idle_streams_are_cheap(watched: Watched, full: bool, figure: Figure) -> None:
    """Each has a client's connection, an upstream's, and a task; a keep-alive comment goes out now and then."""
    port, meter, count = watched.gateway.port, watched.meter, 1000 if full else 300
    # What the first few take is the allocator's and stays.
    for stream in await asyncio.gather(*(_open_stream(port, "idle") for _ in range(20))):
        stream.close()
    await asyncio.sleep(1)
    descriptors, tasks, before = meter.descriptors, meter.tasks, meter.resident
    async with meter.watching():
        streams: list[Connection] = []
        while len(streams) < count:
            streams += await asyncio.gather(*(_open_stream(port, "idle") for _ in range(50)))
        await asyncio.sleep(16 if full else 1)
        await _one_call(port)
        each = (meter.resident - before) / count / 1024
        for stream in streams:
            stream.close()
        left = await settled(meter, descriptors, tasks, within_s=10)
    figure(
        "P30, P31",
        f"{count:,} idle standing streams",
        f"{each:.1f} KiB each; descriptors {descriptors} → {left[0]}, tasks {tasks} → {left[1]} after; {meter.lag}",
        "≤ 64 KiB each; descriptors and tasks back (+ 2); lag p99 ≤ 50 ms",
    )
    assert each <= 64
    assert left[0] <= descriptors + 2 and left[1] <= tasks + 2
    assert meter.lag.holds(full)


async def test_readers_that_never_read_are_bounded_and_cut(watched: Watched, figure: Figure) -> None:
    """Standing streams as fast as they are taken: the upstream is held back, and the send deadline ends them."""
    port, meter = watched.gateway.port, watched.meter
    await _one_call(port)
    descriptors, tasks = meter.descriptors, meter.tasks
    async with meter.watching():
        streams = await asyncio.gather(*(_open_stream(port, "flood", 16 << 10) for _ in range(READERS)))
        for stream in streams:
            stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        full_of = meter.descriptors
        took = await _cut_after(meter, descriptors)
        left = await settled(meter, descriptors, tasks, within_s=5)
    await _one_call(port)
    for stream in streams:
        with contextlib.suppress(OSError):
            stream.close()
    figure(
        "P30, P31",
        f"{READERS} clients open a standing stream that never pauses, and read nothing; limit {SEND_S:g} s",
        f"memory +{meter.grown / READERS / (1 << 20):.2f} MiB each; the last cut {took:.1f} s after the last bytes "
        f"moved; descriptors {descriptors} → {left[0]}, tasks {tasks} → {left[1]}; {meter.lag}",
        f"≤ 2 MiB each; cut within {SEND_S * 1.25 + 1:g} s; lag p99 ≤ 50 ms",
    )
    assert full_of >= 2 * READERS, "the streams were not open"
    assert meter.grown <= READERS * (2 << 20)
    assert SEND_S * 0.75 <= took <= SEND_S * 1.25 + 1
    assert left[0] <= descriptors + 2 and left[1] <= tasks + 2
    assert meter.lag.holds(full=False)
