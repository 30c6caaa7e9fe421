"""P18: SIGTERM answers what is owed, ends streams properly, and loses no row."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.gateway import Gateway
from tests.reliability.client import Answer, Broken, Connection, protocol_headers, text_of, tool_call
from tests.reliability.conftest import KEYS, Figure
from tests.reliability.ledger import rows_of

CALLS, STANDING, ANSWERING = 50, 25, 25
NOTICE_S, DRAIN_S = 0.5, 10.0
PATH = "/mcp/first"


async def _short_call(port: int, number: int) -> Answer:
    connection = await Connection.open(port)
    body = tool_call("sleep", {"ms": 2000, "nonce": f"short-{number}"}, number)
    return await connection.call("POST", PATH, protocol_headers(KEYS["first"], f"drain-short-{number}"), body)


async def _standing_stream(port: int, number: int) -> Connection:
    """Open a GET stream, which would never end by itself."""
    connection = await Connection.open(port)
    headers = protocol_headers(KEYS["first"], f"drain-standing-{number}") | {"Accept": "text/event-stream"}
    connection.send("GET", PATH, headers)
    assert (await connection.head())[0] == 200
    return connection


async def _answering_stream(port: int, number: int) -> Connection:
    """Open a stream that ends with its call's answer after three seconds."""
    connection = await Connection.open(port)
    body = tool_call("stream", {"count": 30, "interval_ms": 100}, number)
    connection.send("POST", PATH, protocol_headers(KEYS["first"], f"drain-answering-{number}"), body)
    assert (await connection.head())[0] == 200
    return connection


async def _rest_of(stream: Connection) -> bytes:
    """Read a stream to its last chunk. Raises Broken when it was cut."""
    return b"".join([chunk async for chunk in stream.chunks()])


async def _first_not_ready(gateway: Gateway, begun: float) -> float | None:
    """Ask /ready on new connections until it says 503; return after how long, or None when it never did."""
    while time.monotonic() < begun + 5:
        try:
            connection = await Connection.open(gateway.port)
            answer = await connection.call("GET", "/ready", {})
        except (OSError, Broken, asyncio.IncompleteReadError):
            return None
        connection.close()
        if answer.status == 503:
            return time.monotonic() - begun
        await asyncio.sleep(0.005)
    return None


async def test_sigterm_answers_what_is_owed(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], figure: Figure
) -> None:
    env = {"GATEWAY_DRAIN_NOTICE_S": str(NOTICE_S), "GATEWAY_DRAIN_TIMEOUT_S": str(DRAIN_S)}
    gateway = make_gateway(workers=2, config=config, env=env | {"GATEWAY_STREAMS_PER_KEY": "100"})
    half = await Connection.open(gateway.port)
    half.writer.write(b"POST /mcp/first HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
    calls = [asyncio.create_task(_short_call(gateway.port, number)) for number in range(CALLS)]
    standing = [await _standing_stream(gateway.port, number) for number in range(STANDING)]
    answering = [await _answering_stream(gateway.port, number) for number in range(ANSWERING)]
    await asyncio.sleep(0.3)
    assert not any(call.done() for call in calls), "the short calls were over before the signal"

    assert gateway.process is not None
    begun = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    said_no = await _first_not_ready(gateway, begun)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    ends = await asyncio.gather(*(_rest_of(stream) for stream in (*standing, *answering)), return_exceptions=True)
    code = await asyncio.to_thread(gateway.process.wait, 60)
    took = time.monotonic() - begun

    good = [f"short-{n}" in text_of(a) for n, a in enumerate(answers) if isinstance(a, Answer) and a.status == 200]
    whole = [end for end in ends if isinstance(end, bytes)]
    answered = sum(b'"result"' in end for end in whole)
    rows = await asyncio.to_thread(rows_of, gateway, "drain")
    wanted = {f"drain-short-{n}": 1 for n in range(CALLS)} | {f"drain-answering-{n}": 1 for n in range(ANSWERING)}
    wanted |= {f"drain-standing-{n}": 2 for n in range(STANDING)}  # one row when it opened, one when it closed
    lost = sum(max(0, count - rows[name]) for name, count in wanted.items())
    figure(
        "P18",
        f"SIGTERM with {CALLS} calls of 2 s, {STANDING} standing streams, {ANSWERING} streams that end with an answer, "
        "one half-sent request; 2 workers",
        f"/ready said 503 after {(said_no or 0) * 1000:.0f} ms; {sum(good)} of {CALLS} calls answered; {len(whole)} of "
        f"{len(ends)} streams ended with their last chunk, {answered} of {ANSWERING} with the answer; "
        f"{lost} rows lost; exit code {code} after {took:.1f} s",
        f"503 at once, all answered, 0 rows lost, exit ≤ {DRAIN_S + 2:.0f} s",
    )
    assert said_no is not None and said_no < NOTICE_S
    assert sum(good) == CALLS, answers
    assert len(whole) == STANDING + ANSWERING
    assert answered == ANSWERING
    assert dict(rows) == wanted
    assert code == 0
    assert took <= DRAIN_S + 2


def test_a_stop_right_after_the_start_loses_no_row(
    make_gateway: Callable[..., Gateway], config: dict[str, Any]
) -> None:
    """The shipper may still be loading its code then."""
    gateway = make_gateway(config=config)
    for number in range(5):
        headers = protocol_headers(KEYS["first"], f"early-{number}")
        body = tool_call("echo", {})
        assert httpx.post(gateway.url("first"), content=body, headers=headers).status_code == 200
    assert gateway.stop() == 0
    assert dict(rows_of(gateway, "early")) == {f"early-{number}": 1 for number in range(5)}
