"""The forwarder adds one header and changes nothing else."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.conformance.forwarder import Forwarder
from tests.upstreams.listening import started

BODY = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}}).encode()


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with started("tests.upstreams.hostile") as url:
        yield url


@pytest_asyncio.fixture
async def port(upstream: str) -> AsyncIterator[int]:
    parts = urlsplit(upstream)
    async with Forwarder(parts.hostname or "", parts.port or 0, "Authorization: Bearer k").listening() as number:
        urllib.request.urlopen(urllib.request.Request(f"{upstream}/_seen", method="DELETE")).close()
        yield number


def _seen(upstream: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{upstream}/_seen") as answer:
        return dict(json.load(answer))


async def _until(condition: Any) -> float:
    begun = time.monotonic()
    while not condition() and time.monotonic() - begun < 5:
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


async def test_each_request_of_a_connection_gets_the_header_and_keeps_its_own(upstream: str, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:9], BODY[9:], b""))
    length = b"Host: evil.example.com\r\nOrigin: http://evil.example.com\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    for head, body in ((length, BODY), (b"host: a\r\nTransfer-Encoding: chunked\r\nX-A:  b \r\n\r\n", chunks)):
        writer.write(b"POST /ok HTTP/1.1\r\n" + head + body)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
        await reader.readexactly(int(answer.lower().partition(b"content-length:")[2].split()[0]))
    writer.close()
    first, second = _seen(upstream)["requests"]
    names = [["Authorization", "Bearer k"], ["Host", "evil.example.com"], ["Origin", "http://evil.example.com"]]
    assert first["headers"] == [*names, ["Content-Length", str(len(BODY))]]
    assert second["headers"][0] == names[0] and ["X-A", "b"] in second["headers"]
    assert first["body"] == second["body"] == BODY.decode()


@pytest.mark.alone
async def test_events_pass_as_they_come_and_a_leaving_client_is_passed_on(upstream: str, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /sse-comments HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))
    begun = time.monotonic()
    await reader.readuntil(b"still here")
    assert time.monotonic() - begun < 1
    assert _seen(upstream)["open"] == 1
    writer.close()
    assert await _until(lambda: _seen(upstream)["open"] == 0) < 1


async def test_a_reset_upstream_ends_the_client_connection(upstream: str, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /close-mid-json HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))
    received = await asyncio.wait_for(reader.read(), 2)
    assert received.startswith(b"HTTP/1.1 200") and not received.endswith(b"}")
    writer.close()
