"""Who does not get in: refused before the handshake, with the words of the data plane, and no key in any log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from keys import secrets
from tests.gateway import Gateway
from tests.live.client import Live, People, dial
from tests.live.conftest import KEYS
from tests.server.raw_client import RawClient, exchange

ROOT = "root"  # stands for the administrator's session, which is known only once the gateway runs
WRONG = secrets.generate()
HANDSHAKE = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def raw(path: str = "/ws/live", method: str = "GET", body: bytes = b"", **headers: str | None) -> bytes:
    """Return a handshake as bytes; an underscore in a header's name stands for a hyphen, None leaves it out."""
    sent = HANDSHAKE | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("status", "reason", "options"),
    [
        (401, "credential_missing", {}),
        (401, "credential_missing", {"headers": {"Cookie": "other=1"}}),
        (401, "signed_out", {"session": "x" * 32}),
        (401, "signed_out", {"session": "x" * 3000}),
        (401, "signed_out", {"session": "'; DROP TABLE django_session; --"}),
        (403, "origin_missing", {"session": ROOT, "origin": None}),
        (403, "origin_forbidden", {"session": ROOT, "origin": "https://evil.example"}),
        (403, "origin_forbidden", {"session": ROOT, "origin": "null"}),
        (403, "origin_forbidden", {"session": ROOT, "origin": "http://127.0.0.1:99999999"}),
        (403, "origin_forbidden", {"key": KEYS["alice"], "origin": "https://evil.example"}),
        (401, "credential_unknown", {"key": WRONG}),
        (401, "credential_unknown", {"key": "x"}),
        (401, "credential_unknown", {"session": ROOT, "key": WRONG}),
        (401, "credential_ambiguous", {"key": KEYS["alice"], "headers": {"X-API-Key": KEYS["bob"]}}),
        (401, "credential_missing", {"session": ROOT, "headers": {"Authorization": "Basic YTpi"}}),
        (400, "request_invalid", {"session": ROOT, "path": f"/ws/live?key={KEYS['bob']}"}),
        (400, "request_invalid", {"path": f"/ws/live?access_token={KEYS['bob']}"}),
        (400, "request_invalid", {"key": KEYS["alice"], "path": "/ws/live?x"}),
    ],
)
async def test_a_refusal_is_an_http_answer(
    live: Gateway, people: People, status: int, reason: str, options: dict[str, Any]
) -> None:
    if options.get("session") == ROOT:
        options = options | {"session": people.sessions["root"]}
    with pytest.raises(InvalidStatus) as refused:
        await dial(live, **options)
    response = refused.value.response
    body = json.loads(response.body)
    assert (response.status_code, body["error"]) == (status, reason), body
    assert set(body) == {"error", "message"} and response.headers["content-type"] == "application/json"
    assert ("www-authenticate" in response.headers) == (status == 401 and reason.startswith("credential"))
    assert not [key for key in (*KEYS.values(), WRONG) if key in live.output() or key.encode() in response.body]


@pytest.mark.parametrize(
    "options",
    [
        {"session": ROOT},
        {"session": ROOT, "origin": "https://console.example"},
        {"key": KEYS["alice"]},
        {"headers": {"X-API-Key": KEYS["alice"]}, "origin": None},
        {"key": KEYS["alice"], "origin": "https://console.example"},
    ],
)
async def test_these_are_let_in(live: Gateway, people: People, options: dict[str, Any]) -> None:
    if options.get("session") == ROOT:
        options = options | {"session": people.sessions["root"]}
    viewer = await Live.open(live, **options)
    assert viewer.socket.response is not None and "Sec-WebSocket-Extensions" not in viewer.socket.response.headers
    await viewer.close()


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        ({421}, raw(Host="evil.example", Authorization=f"Bearer {KEYS['alice']}")),
        ({400}, raw(Host=None)),
        ({400, 426}, raw(Sec_WebSocket_Version="8")),
        ({400, 426}, raw(Sec_WebSocket_Version=None)),
        ({400}, raw(Sec_WebSocket_Key=None)),
        ({400}, raw(Sec_WebSocket_Key="short")),
        ({400}, raw(Sec_WebSocket_Key="\x80" * 20)),
        # Plain requests all of these: Django knows no such page.
        ({404}, raw(Upgrade="h2c")),
        ({404}, raw(Upgrade=None)),
        ({404}, raw(Connection="close")),
        ({404, 405, 403}, raw(method="POST", Content_Length="0")),
        ({404}, raw(Content_Length="3", body=b"abc")),
        ({400, 404}, raw(Transfer_Encoding="chunked", body=b"0\r\n\r\n")),
        ({404}, raw("/ws/live/")),
        ({404}, raw("/ws/%6cive")),
        ({404}, raw("/ws/liveX")),
        ({404}, raw("//ws/live")),
        ({302, 404}, raw("/")),
        ({401, 404, 405, 406}, raw("/mcp/first")),
    ],
)
async def test_another_handshake_is_none(live: Gateway, expected: set[int], data: bytes) -> None:
    reply = await exchange(live.port, data)
    assert reply.status in expected, (reply.head, reply.body)


async def test_what_comes_right_behind_the_handshake_is_read(live: Gateway) -> None:
    """A client may not send before our 101, but bytes that were read already must not be lost or read as HTTP."""
    mask, text = b"\x01\x02\x03\x04", b'{"type":"nonsense"}'
    frame = b"\x81" + bytes([0x80 | len(text)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text))
    client = await RawClient.open(live.port)
    await client.send(raw(Authorization=f"Bearer {KEYS['alice']}") + frame)
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    found = b""
    while b"unknown_message" not in found:
        more = await client.reader.read(1000)
        assert more, found
        found += more
    assert b'"hello"' in found
    client.close()


async def test_a_live_view_may_follow_calls_on_one_connection(live: Gateway) -> None:
    client = await RawClient.open(live.port)
    await client.send(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await client.answer()).status == 200
    handshake = raw(Authorization=f"Bearer {KEYS['alice']}")
    for piece in (handshake[:20], handshake[20:90], handshake[90:]):
        await client.send(piece)
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    client.close()


async def test_one_viewer_too_many_is_told_why(live: Gateway) -> None:
    viewers, told = [], []
    for _ in range(40):  # twelve a worker, and who gets which worker is chance
        socket = await dial(live, key=KEYS["alice"])
        message = json.loads(await socket.recv())
        if message["type"] == "error":
            told.append((message["reason"], await Live(socket).closed()))
        else:
            viewers.append(socket)
    for socket in viewers:
        await socket.close()
    assert len(viewers) <= 24 and told
    assert set(told) == {("too_many_viewers", (1013, "too_many_viewers"))}


async def test_guessing_keys_is_slowed_down(live: Gateway) -> None:
    """The counter is that of the data plane: 200 at once, then as many a minute as the setting says, in each worker."""
    statuses: dict[int, int] = {}
    for _ in range(600):
        reply = await exchange(live.port, raw(Authorization=f"Bearer {WRONG}"))
        statuses[reply.status] = statuses.get(reply.status, 0) + 1
        if statuses.get(429, 0) > 5:
            break
    assert set(statuses) == {401, 429}
    viewer = await Live.open(live, key=KEYS["alice"])  # who knows a key is served all the same
    await viewer.close()
