"""SIGTERM: new connections hear 503, open calls are answered, streams end properly, every call is on record (P18)."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests import databases
from tests.gateway import Gateway, wait_for
from tests.server.raw_client import RawClient, Reply
from tests.upstreams.listening import started

CALLS = STREAMS = 50
DRAIN_S = 8


@pytest.fixture
def upstream() -> Iterator[str]:
    """An upstream with a tool that sleeps and with standing GET streams."""
    with started("tests.upstreams.echo_fast", "--standing") as url:
        yield url


def request(verb: str, key: str, body: dict[str, object] | None = None, *headers: str, cut: int = 0) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    accept = "text/event-stream" if body is None else "application/json, text/event-stream"
    lines = [f"{verb} /mcp/slow HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key}", f"Accept: {accept}"]
    if data:
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    whole = "\r\n".join([*lines, *headers, "", ""]).encode() + data
    return whole[: len(whole) - cut]


def sleep_call(number: int, ms: int) -> dict[str, object]:
    params = {"name": "sleep", "arguments": {"ms": ms, "number": number}}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


async def open_stream(gateway: Gateway, key: str) -> RawClient:
    """Open a standing stream and return once its first event is there."""
    client = await RawClient.open(gateway.port)
    await client.send(request("GET", key, None, "MCP-Protocol-Version: 2025-11-25"))
    async with asyncio.timeout(10):
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head
    return client


async def rest_of(client: RawClient) -> bytes:
    return await client.reader.read()


async def readiness(gateway: Gateway) -> int:
    try:
        client = await RawClient.open(gateway.port)
    except ConnectionRefusedError:
        return 0
    await client.send(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await client.answer()
    client.close()
    return answer.status


def test_sigterm_loses_nothing(make_gateway: Callable[..., Gateway], upstream: str) -> None:
    gateway = make_gateway(
        workers=2,
        config={"namespaces": {"slow": {"url": upstream}}},
        env={
            "GATEWAY_DRAIN_NOTICE_S": "0.5",
            "GATEWAY_DRAIN_TIMEOUT_S": str(DRAIN_S),
            "GATEWAY_STREAMS_PER_KEY": "1000",
        },
    )
    key = gateway.create_key("--user", "drain")
    answers, streams, said, half = asyncio.run(drain(gateway, key))
    assert [answer.status for answer in answers] == [200] * CALLS
    assert sorted(json.loads(answer.body)["id"] for answer in answers) == list(range(CALLS))
    assert all(rest.endswith(b"0\r\n\r\n") for rest in streams), "a stream was cut"
    assert said[0] == 503, "new connections were not told at once"
    assert set(said) <= {503, 0}
    assert half.status in (0, 408)
    assert gateway.process is not None
    assert gateway.process.wait(DRAIN_S + 12) == 0
    assert gateway.database_url is not None
    count = "SELECT count(*) FILTER (WHERE tool = 'sleep' AND outcome = 'ok') FROM analytics_requestlog"
    wait_for(lambda: databases.query(gateway.database_url, count) == [(CALLS,)], 5, "calls are missing from the log")


async def drain(gateway: Gateway, key: str) -> tuple[list[Reply], list[bytes], list[int], Reply]:
    """Open everything, send SIGTERM, and return the answers, the ends of the streams, what /ready said, the rest."""
    streams = [await open_stream(gateway, key) for _ in range(STREAMS)]
    half = await RawClient.open(gateway.port)
    await half.send(request("POST", key, sleep_call(9999, 0), cut=10))
    clients = [await RawClient.open(gateway.port) for _ in range(CALLS)]
    for number, client in enumerate(clients):
        await client.send(request("POST", key, sleep_call(number, 2000)))
    await asyncio.sleep(0.5)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    await asyncio.sleep(0.2)
    said = [await readiness(gateway)]
    waiting = asyncio.gather(
        asyncio.gather(*(client.answer(15) for client in clients)),
        asyncio.gather(*(rest_of(stream) for stream in streams)),
        half.answer(20),
    )
    while time.monotonic() - began < 1.0:
        said.append(await readiness(gateway))
        await asyncio.sleep(0.05)
    answers, ends, half_answer = await waiting
    return answers, ends, said, half_answer
