"""P5, HF9, HF14: too much is refused before it is read, too slow is cut in time, and neither costs memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway import Gateway
from tests.reliability.client import Connection, protocol_headers, tool_call
from tests.reliability.conftest import KEYS, Figure
from tests.reliability.meter import WorkerMeter

BODY_LIMIT, HEAD_LIMIT = 4 << 20, 32 << 10
HEAD_S, BODY_S = 1.5, 2.0
SLOW_CLIENTS = 100


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, config: dict[str, Any]) -> Iterator[Gateway]:
    """One worker, so that its memory and its reading can be watched; its deadlines are short."""
    from tests.conftest import Gateways

    with Gateways(request) as start:
        env = {"GATEWAY_HEAD_TIMEOUT_S": str(HEAD_S), "GATEWAY_BODY_TIMEOUT_S": str(BODY_S)}
        yield start(config=config, env=env)


def _head(*lines: str) -> bytes:
    fixed = [f"{name}: {value}" for name, value in protocol_headers(KEYS["first"]).items()]
    return "\r\n".join(["POST /mcp/first HTTP/1.1", "Host: 127.0.0.1", *fixed, *lines, "", ""]).encode()


async def _push(gateway: Gateway, head: bytes, piece: bytes, times: int) -> tuple[int, bytes]:
    """Send a head and then `piece` again and again until refused; return the bytes that went off, and the answer."""
    connection = await Connection.open(gateway.port)
    raw: socket.socket = connection.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
    sent = len(head)
    connection.writer.write(head)
    answer = asyncio.create_task(connection.reader.read(65536))
    with contextlib.suppress(OSError):
        for _ in range(times):
            if answer.done():
                break
            connection.writer.write(piece)
            sent += len(piece)
            await connection.writer.drain()
    with contextlib.suppress(OSError):
        async with asyncio.timeout(10):
            await answer
    connection.close()
    return sent, answer.result() if answer.done() and answer.exception() is None else b""


MIB = b"x" * (1 << 20)
BODIES = {
    "64 MiB in chunks": (_head("Transfer-Encoding: chunked"), b"100000\r\n" + MIB + b"\r\n", 64, b" 413 "),
    "Content-Length of 10 GiB": (_head(f"Content-Length: {10 << 30}"), MIB, 10 << 10, b" 413 "),
    "a body of 16 MiB": (_head(f"Content-Length: {16 << 20}"), MIB, 16, b" 413 "),
    "one byte over the limit, in chunks": (
        _head("Transfer-Encoding: chunked"),
        b"%x\r\n" % (BODY_LIMIT + 1) + b"x" * (BODY_LIMIT + 1) + b"\r\n0\r\n\r\n",
        1,
        b" 413 ",
    ),
}
HEADS = {
    "a head of 1 MiB": b"X-Long: " + MIB + b"\r\n",
    "a head of 64 KiB": b"X-Long: " + b"x" * (64 << 10) + b"\r\n",
    "2,000 headers": b"".join(b"X-%d: 1\r\n" % number for number in range(2000)) + b"\r\n",
    "a head without end": b"X-More: " + b"x" * 1000 + b"\r\n",
}


@pytest.mark.parametrize("case", BODIES)
async def test_a_body_over_the_limit_is_refused_early(gateway: Gateway, case: str, figure: Figure) -> None:
    head, piece, times, status = BODIES[case]
    meter = WorkerMeter(gateway.worker_pids()[0])
    async with meter.watching():
        sent, answer = await _push(gateway, head, piece, times)
    figure(
        "P5",
        f"{case}, limit {BODY_LIMIT >> 20} MiB",
        f"{answer.partition(b' ')[2][:3].decode()} after {meter.read / (1 << 20):.1f} MiB were read of "
        f"{sent / (1 << 20):.0f} MiB sent; memory +{meter.grown / (1 << 20):.1f} MiB",
        "413 before 2 × the limit is read, memory ≤ 4 × the limit",
    )
    assert status in answer.partition(b"\r\n")[0]
    assert meter.read < 2 * BODY_LIMIT
    assert meter.grown <= 4 * BODY_LIMIT


@pytest.mark.parametrize("case", HEADS)
async def test_a_head_over_the_limit_is_refused_early(gateway: Gateway, case: str, figure: Figure) -> None:
    meter = WorkerMeter(gateway.worker_pids()[0])
    endless = case == "a head without end"
    async with meter.watching():
        start = b"POST /mcp/first HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        sent, answer = await _push(gateway, start, HEADS[case], 10_000 if endless else 1)
    # Whoever goes on sending may find the connection cut before it has read the answer.
    said = answer.partition(b" ")[2][:3].decode() or "cut"
    figure(
        "P5, HF9",
        f"{case}, limit {HEAD_LIMIT >> 10} KiB and 100 lines",
        f"{said} after {meter.read >> 10} KiB were read of {sent >> 10} KiB sent; "
        f"memory +{meter.grown / (1 << 20):.1f} MiB",
        "431 or cut before 2 × the limit is read",
    )
    assert said in (("431", "cut") if endless else ("431",))
    assert meter.read < 2 * HEAD_LIMIT
    assert meter.grown <= 4 << 20


async def _drip(port: int, start: bytes, interval_s: float) -> tuple[float, bytes]:
    """Send `start`, then a byte now and then; return after how long the gateway cut it, and what it said."""
    connection = await Connection.open(port)
    begun = time.monotonic()
    connection.writer.write(start)
    reading = asyncio.create_task(connection.reader.read(4096))
    with contextlib.suppress(OSError):
        while not reading.done() and time.monotonic() < begun + 20:
            if interval_s:
                connection.writer.write(b"x")
            await asyncio.wait({reading}, timeout=interval_s or 0.1)
    took = time.monotonic() - begun
    connection.close()
    return took, reading.result() if reading.done() and reading.exception() is None else b""


SLOW = {
    "a byte of the head each 0.2 s": (b"POST /mcp/first HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", 0.2, HEAD_S),
    "silence": (b"", 0.0, HEAD_S),
    "a byte of the body each 0.2 s": (_head("Content-Length: 1000"), 0.2, BODY_S),
}


@pytest.mark.parametrize("case", SLOW)
async def test_slow_clients_are_cut_in_time_and_harm_nobody(gateway: Gateway, case: str, figure: Figure) -> None:
    start, interval_s, limit_s = SLOW[case]
    slow = [asyncio.create_task(_drip(gateway.port, start, interval_s)) for _ in range(SLOW_CLIENTS)]
    good = await _good_calls(gateway, until=time.monotonic() + limit_s)
    cut = await asyncio.gather(*slow)
    times = [took for took, _ in cut]
    figure(
        "P5, HF14",
        f"{SLOW_CLIENTS} clients send {case}; limit {limit_s:g} s",
        f"cut after {min(times):.1f} to {max(times):.1f} s; meanwhile {good[0]} of {good[1]} other calls good",
        "cut in time, others unharmed",
    )
    assert all(b" 408 " in said.partition(b"\r\n")[0] for _, said in cut)
    assert limit_s - 0.2 <= min(times) and max(times) <= limit_s + 1
    assert good[0] == good[1] > 20


async def _good_calls(gateway: Gateway, until: float) -> tuple[int, int]:
    connection = await Connection.open(gateway.port)
    good = made = 0
    while time.monotonic() < until:
        answer = await connection.call("POST", "/mcp/first", protocol_headers(KEYS["first"]), tool_call("echo", {}))
        made += 1
        good += answer.status == 200
        await asyncio.sleep(0.02)
    connection.close()
    return good, made


async def test_a_request_just_within_the_limits_is_served(gateway: Gateway) -> None:
    """The limits refuse nothing that is allowed."""
    connection = await Connection.open(gateway.port)
    body = tool_call("echo", {"text": "x" * (BODY_LIMIT - 4096)})
    headers = protocol_headers(KEYS["first"]) | {"X-Long": "x" * (HEAD_LIMIT - 2048)}
    answer = await connection.call("POST", "/mcp/first", headers, body)
    connection.close()
    assert answer.status == 200
    assert len(answer.body) > BODY_LIMIT - 4096
