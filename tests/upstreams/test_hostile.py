"""The hostile upstream plays what its paths promise, byte for byte; otherwise tests against it would prove nothing."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.upstreams.hostile import BEHAVIOURS
from tests.upstreams.hostile_time import bomb
from tests.upstreams.listening import started

IDLE_S, TOTAL_S = 0.15, 1.5  # how long a silence, and a drip, are listened to
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "echo", "arguments": {"n": 1}}}
ENDLESS = {"endless-json", "endless-sse", "sse-huge-line", "sse-tiny"}
CLOSING = {"close", "reset", "close-mid-json", "close-mid-sse", "bad-chunk", "http09"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with started("tests.upstreams.hostile") as url:
        yield url


def _connect(upstream: str, path: str, message: dict[str, Any] | None = None) -> socket.socket:
    body = json.dumps(message or CALL).encode()
    parts = urlsplit(upstream)
    client = socket.create_connection((parts.hostname, parts.port), timeout=IDLE_S)
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def _read(client: socket.socket, limit: int = 8_000_000) -> tuple[bytes, str]:
    """What comes until the upstream closes (`closed`), resets, or says no more, or too little (`open`)."""
    received, deadline = bytearray(), time.monotonic() + TOTAL_S
    try:
        while len(received) < limit:
            if time.monotonic() > deadline:
                return bytes(received), "open"
            data = client.recv(1 << 16)
            if not data:
                return bytes(received), "closed"
            received += data
    except TimeoutError:
        return bytes(received), "open"
    except ConnectionResetError:
        return bytes(received), "reset"
    return bytes(received), "limit"


def _play(upstream: str, path: str, message: dict[str, Any] | None = None) -> tuple[bytes, str]:
    with _connect(upstream, path, message) as client:
        return _read(client)


def _seen(upstream: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{upstream}/_seen") as answer:
        return dict(json.load(answer))


EXPECTED = {
    "ok": rb'"id": 7.*"arguments": \{"n": 1\}',
    "ok-sse": rb"notifications/message.*event: message\ndata: .*\"id\": 7",
    "hang": rb"^$",
    "hang-after-head": rb"Content-Length: 1000\r\n\r\n$",
    "slow-head": rb"X-Slow: a+$",
    "drip": rb"\r\n\r\n(1\r\n \r\n)+$",
    "sse-idle": rb"text/event-stream.*\r\n\r\n$",
    "sse-comments": rb": still here\n\n",
    "gzip-bad": rb"Content-Encoding: gzip.*noise",
    "gzip-unasked": rb"Content-Encoding: gzip.*\x1f\x8b",
    "truncated": rb"[^}]$",
    "empty": rb"Content-Length: 0\r\n\r\n$",
    "utf16": rb"\r\n\r\n\xff\xfe",
    "bad-utf8": rb"caf\xe9\xff",
    "bigint": rb"9{6000}",
    "deep": rb"\[{100000}\]{100000}",
    "nan": rb"\[NaN, Infinity\]",
    "dup-keys": rb'"result".*"result"',
    "wrong-id": rb'"id": 987654321',
    "null-id": rb'"id": null',
    "str-id": rb'"id": "7"',
    "batch": rb"\r\n\r\n\[.*\]$",
    "both": rb'"result".*"error"',
    "scalar": rb"\r\n\r\n42$",
    "html": rb"text/html.*<script>",
    "ct-sse-body-json": rb"text/event-stream.*\r\n\r\n\{",
    "ct-json-body-sse": rb"application/json.*event: message\ndata: ",
    "utf-7": rb"charset=utf-7.*\+ADw-script\+AD4-",
    "sse-inject": rb"\\r\\n\\r\\nevent: message\\ndata: ",
    "err-leak": rb"hunter2",
    "sse-two-answers": rb"poisoned.*first.*second",
    "sse-server-request": rb"sampling/createMessage.*\"id\": 7",
    "close": rb"^$",
    "close-mid-json": rb"Content-Length: \d+.*\{",
    "bad-chunk": rb"\r\n\r\nZZ\r\n",
    "http09": rb"^\{",
    "cl-te": rb"Content-Length.*Transfer-Encoding.*poisoned",
    "extra-bytes": rb"HTTP/1.1 200.*HTTP/1.1 200.*poisoned",
    "status-100": rb"(HTTP/1.1 100 Continue\r\n\r\n){20000}HTTP/1.1 200",
    "status-204": rb"^HTTP/1.1 204 X\r\n",
    "status-401": rb"^HTTP/1.1 401.*WWW-Authenticate",
    "status-429": rb"Retry-After: 99999",
    "status-999": rb"^HTTP/1.1 999",
    "401-meta": rb'resource_metadata="http://127.0.0.1:\d+/canary"',
    "redirect-canary": rb"^HTTP/1.1 307.*Location: http://127.0.0.1:\d+/canary\r\n",
    "redirect-302": rb"^HTTP/1.1 302",
    "redirect-meta": rb"Location: http://169\.254\.169\.254/",
    "redirect-file": rb"Location: file:///etc/passwd",
    "redirect-loop": rb"Location: http://127.0.0.1:\d+/redirect-loop",
    "redirect-crlf": rb"\r\nSet-Cookie: injected=1\r\n",
    "resp-cookies": rb"Set-Cookie: sid=hunter2",
    "big-session": rb"Mcp-Session-Id: s{8192}",
    "many-headers": rb"X-Many-4999",
    "big-header": rb"X-Big: z{1048576}",
    "sse-endpoint": rb"^HTTP/1.1 405",
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_behaviour_sends_what_its_name_says(upstream: str, name: str) -> None:
    received, ending = _play(upstream, f"/{name}")
    assert re.search(EXPECTED[name], received, re.DOTALL), received[:600]
    assert ending == ("closed" if name in CLOSING else "limit" if name in ENDLESS else "open")


@pytest.mark.parametrize("name", sorted(ENDLESS))
def test_endless_behaviours_go_on_as_long_as_they_are_read(upstream: str, name: str) -> None:
    received, ending = _play(upstream, f"/{name}")
    assert ending == "limit" and len(received) >= 8_000_000


def test_reset_is_a_reset(upstream: str) -> None:
    assert _play(upstream, "/reset") == (b"", "reset")


def test_crlf_stream_spells_a_correct_answer_by_the_sse_grammar(upstream: str) -> None:
    received, _ = _play(upstream, "/sse-crlf")
    stream = b"".join(re.findall(rb"\r\n[123]\r\n(.{1,3})(?=\r\n)", received, re.DOTALL))
    events = re.split(r"\n\n", re.sub(r"\r\n|\r", "\n", stream.decode("utf-8-sig")).strip())
    last = "\n".join(line[5:].removeprefix(" ") for line in events[-1].split("\n") if line.startswith("data:"))
    assert json.loads(last)["id"] == 7
    assert len(events) == 4


def test_bomb_is_a_valid_gzip_stream_of_the_size_it_claims() -> None:
    length, parts = bomb(b'{"text": "', b'"}', 8)
    body = b"".join(parts)
    assert len(body) == length
    opened = zlib.decompressobj(31)
    text = opened.decompress(body)
    assert opened.eof and len(json.loads(text)["text"]) == 8 << 20
    assert len(body) < len(text) // 500


@pytest.mark.parametrize("name", ["tools-poison", "tools-10k", "tools-cursor-loop", "tools-rug-pull", "tools-not-list"])
def test_list_traps_answer_a_list(upstream: str, name: str) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    received, _ = _play(upstream, f"/{name}", listing)
    result = json.loads(received.partition(b"\r\n\r\n")[2])["result"]
    lengths = {
        "tools-poison": 19,
        "tools-10k": 10_000,
        "tools-cursor-loop": 1,
        "tools-rug-pull": 1,
        "tools-not-list": 1,
    }
    assert len(result["tools"]) == lengths[name]


def test_growing_cursor_doubles(upstream: str) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "cc"}}
    received, _ = _play(upstream, "/tools-cursor-grow", listing)
    assert json.loads(received.partition(b"\r\n\r\n")[2])["result"]["nextCursor"] == "cccc"


def test_handshake_is_answered_before_a_behaviour_plays(upstream: str) -> None:
    opening = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
    received, _ = _play(upstream, "/close", opening)
    assert b'"protocolVersion": "2025-06-18"' in received
    assert _play(upstream, "/close?all=1", opening) == (b"", "closed")


@pytest.mark.alone
def test_what_arrives_and_how_it_ends_is_on_record(upstream: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{upstream}/_seen", method="DELETE")).close()
    client = _connect(upstream, "/hang")
    deadline = time.monotonic() + 5
    while _seen(upstream)["open"] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    before = _seen(upstream)
    left = time.time()
    client.close()
    while _seen(upstream)["open"] and time.monotonic() < deadline:
        time.sleep(0.01)
    after = _seen(upstream)
    assert before["open"] == 1 and before["requests"][0]["name"] == "echo"
    assert json.loads(before["requests"][0]["body"]) == CALL
    assert after["open"] == 0 and after["closed"][0]["how"] == "disconnected"
    assert after["closed"][0]["at"] - left < 0.5


def test_every_behaviour_is_held_to_something_here() -> None:
    elsewhere = {"reset", "sse-crlf", "gzip-bomb", "huge", "invalid", "no-ct", "no-id", "neither", "close-mid-sse"}
    told = EXPECTED.keys() | ENDLESS | elsewhere
    assert {name for name in BEHAVIOURS if not name.startswith(("status-", "redirect-", "tools-"))} <= told
