"""A browser that reads slowly, or never, is skipped: it costs a bounded number of bytes, and nobody waits for it."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Callable

import pytest

from tests.gateway import Gateway
from tests.live.client import Live, People
from tests.live.load import Generator, open_deaf, resident_bytes

DEAF = 8
PER_SECOND = 1500
UNREAD_S = 30.0


async def _latencies(call: Callable[..., str], count: int) -> list[float]:
    took = []
    for _ in range(count):
        begun = time.monotonic()
        await asyncio.to_thread(call)
        took.append(time.monotonic() - begun)
    return sorted(took)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_who_never_reads_is_skipped_and_then_closed(
    live: Gateway, people: People, call: Callable[..., str]
) -> None:
    reader = await (await Live.open(live, people.sessions["root"])).listening()
    with Generator(live, PER_SECOND):
        alone = await _latencies(call, 30)
    before = {pid: resident_bytes(pid) for pid in live.worker_pids()}
    deaf = [await asyncio.to_thread(open_deaf, live, people.sessions["root"]) for _ in range(DEAF)]
    begun = time.monotonic()
    with Generator(live, PER_SECOND) as generator:
        reading = asyncio.create_task(reader.rows_within(20))
        beside = await _latencies(call, 30)
        await reading
        grown = {pid: resident_bytes(pid) - size for pid, size in before.items()}
        # Not read for thirty seconds since the socket was full, and two to close it.
        await asyncio.sleep(max(0.0, begun + UNREAD_S + 8 - time.monotonic()))
    for client in deaf:
        client.settimeout(5)
        received = b"".join(iter(lambda c=client: _read(c), b""))
        assert b"101 Switching" in received and len(received) < 1 << 20
    skipped = sum(message.get("skipped", 0) for message in reader.messages)
    print(
        f"{DEAF} sockets that never read, {PER_SECOND} rows/s: memory of the workers grew by "
        f"{max(grown.values()) / 1e6:.1f} MB at most; a reader got {len(reader.rows):,} rows in 20 s, {skipped:,} "
        f"skipped, of {generator.written:,} in {time.monotonic() - begun:.0f} s; calls took "
        f"{statistics.median(alone) * 1000:.1f} ms without them, {statistics.median(beside) * 1000:.1f} ms with them"
    )
    assert len(reader.rows) > 5 * 200
    assert max(grown.values()) < 32 << 20
    assert statistics.median(beside) < 2 * statistics.median(alone) + 0.05
    await reader.close()
    # Their places are free again.
    opened = [await Live.open(live, people.sessions["root"]) for _ in range(8)]
    for view in opened:
        await view.close()


def _read(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except ConnectionError:
        return b""


async def test_a_burst_arrives_as_the_newest_rows_and_a_number(live: Gateway, people: People) -> None:
    viewer = await (await Live.open(live, people.sessions["root"])).listening()
    with Generator(live, 20_000) as generator:
        await viewer.rows_within(2)
    deadline, batches, skipped = time.monotonic() + 30, [], 0
    while len(viewer.rows) + skipped < generator.written and time.monotonic() < deadline:
        await viewer.rows_within(0.5)
        batches = [message for message in viewer.messages if message["type"] == "rows"]
        skipped = sum(message["skipped"] for message in batches)
    assert max(len(message["rows"]) for message in batches) <= 200
    assert len(viewer.rows) + skipped == generator.written
    shown = f"{len(viewer.rows):,} shown in {len(batches)} batches, {skipped:,} skipped"
    print(f"a burst of {generator.written:,} rows: {shown}")
    await viewer.close()
