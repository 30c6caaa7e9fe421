"""What a client may say, and what happens to one that says something else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from tests.gateway import Gateway
from tests.live.client import Live, People, dial
from tests.live.conftest import KEYS


async def _error(viewer: Live) -> str:
    return str((await viewer.until(lambda message: message["type"] == "error"))["reason"])


async def test_filters_choose_among_the_rows(live: Gateway, people: People, call: Callable[..., str]) -> None:
    everything = await Live.open(live, people.sessions["root"])
    bobs = await Live.open(live, people.sessions["root"])
    none = await Live.open(live, people.sessions["root"])
    assert (await bobs.filter(user="bob"))["filter"] == {"user": "bob"}
    await none.filter(slower_than_ms=60_000)
    await everything.listening()
    for user, namespace in (("alice", "first"), ("bob", "second"), ("carol", "first")):
        await asyncio.to_thread(call, user, namespace)
    await everything.row(user_id="carol")
    assert {row["user_id"] for row in everything.rows} == {"alice", "bob", "carol"}
    await bobs.row(user_id="bob")
    assert {row["user_id"] for row in bobs.rows} == {"bob"}
    assert await none.rows_within(0.5) == []
    # A new filter replaces the old one as a whole.
    assert (await bobs.filter(namespace="first", errors_only=False))["filter"] == {"namespace": "first"}
    await asyncio.to_thread(call, "alice")
    await bobs.row(user_id="alice")
    for viewer in (everything, bobs, none):
        await viewer.close()


async def test_a_pause_sends_nothing_and_counts(live: Gateway, people: People, call: Callable[..., str]) -> None:
    viewer = await (await Live.open(live, people.sessions["root"])).listening()
    await viewer.say(type="pause")
    await viewer.until(lambda message: message.get("paused") is True)
    for _ in range(3):
        await asyncio.to_thread(call)
    await viewer.until(lambda message: message.get("missed") == 3)
    assert viewer.rows == []
    await viewer.say(type="resume")
    resumed = await viewer.until(lambda message: message.get("paused") is False)
    assert resumed["missed"] == 3
    await asyncio.to_thread(call, "carol")
    await viewer.row(user_id="carol")
    assert [row["user_id"] for row in viewer.rows] == ["carol"]
    await viewer.close()


BAD: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("nonsense", "not_json"),
    "half JSON": ('{"type":"filter"', "not_json"),
    "a key twice": ('{"type":"pause","type":"resume"}', "not_json"),
    "NaN": ('{"type":"filter","slower_than_ms":NaN}', "not_json"),
    "lone surrogate": ('{"type":"filter","tool":"\\ud800"}', "not_json"),
    "deep": ("[" * 4000, "not_json"),
    "binary": (b'{"type":"pause"}', "not_json"),
    "empty": ("", "not_json"),
    "a number": ("1", "unknown_message"),
    "null": ("null", "unknown_message"),
    "an array": ('[{"type":"pause"}]', "unknown_message"),
    "no type": ("{}", "unknown_message"),
    "type no text": ('{"type":["filter"]}', "unknown_message"),
    "unknown type": ('{"type":"subscribe"}', "unknown_message"),
    "a pause with more": ('{"type":"pause","for":3}', "unknown_message"),
    "a foreign field": ('{"type":"filter","scope":null,"namespaces":[]}', "filter_invalid"),
    "a wrong value": ('{"type":"filter","outcome":"__class__"}', "filter_invalid"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_message_that_is_none_is_answered(live: Gateway, case: str) -> None:
    sent, reason = BAD[case]
    viewer = await Live.open(live, key=KEYS["alice"])
    await viewer.socket.send(sent)
    assert await _error(viewer) == reason
    assert "filter" in await viewer.filter(tool="echo")  # it goes on
    await viewer.close()


async def test_who_does_not_stop_is_closed(live: Gateway) -> None:
    viewer = await Live.open(live, key=KEYS["alice"])
    for _ in range(6):
        await viewer.socket.send("nonsense")
    assert await viewer.closed() == (1008, "not_json")


async def test_a_flood_is_closed(live: Gateway, call: Callable[..., str]) -> None:
    viewer = await Live.open(live, key=KEYS["alice"])

    async def flood() -> None:
        for number in range(5000):
            await viewer.say(type="filter", tool=f"t{number}")

    flooding = asyncio.create_task(flood())
    assert await viewer.closed() in ((1008, "too_many_messages"), (1008, "too much was sent"))
    with suppress(ConnectionClosed):
        await flooding  # all may have left this side before the close came
    await asyncio.to_thread(call)  # calls are served as before


@pytest.mark.parametrize("size", [4097, 10_000, 1 << 20])
async def test_a_large_message_is_closed_unread(live: Gateway, size: int) -> None:
    viewer = await Live.open(live, key=KEYS["alice"])
    with suppress(ConnectionClosed):
        await viewer.socket.send("x" * size)
    assert (await viewer.closed())[0] == 1009


async def test_a_message_in_pieces_has_the_same_limit(live: Gateway) -> None:
    viewer = await Live.open(live, key=KEYS["alice"])
    await viewer.socket.send(iter(['{"type":', '"pause"}']))  # type: ignore[arg-type]
    await viewer.until(lambda message: message.get("paused") is True)
    with suppress(ConnectionClosed):  # all may have left this side before the close came
        await viewer.socket.send("x" * 1000 for _ in range(10))  # type: ignore[arg-type]
    assert (await viewer.closed())[0] == 1009


async def test_who_is_still_sending_reads_why_it_was_closed(live: Gateway) -> None:
    """A socket closed at once would answer what is under way with a reset, and the client's next write would fail."""
    socket = await dial(live, key=KEYS["alice"])
    pieces = [_frame(Opcode.TEXT, b"x" * 1000, fin=False), *[_frame(Opcode.CONT, b"x" * 1000, fin=False)] * 30]
    for piece in pieces:
        socket.transport.write(piece)
        time.sleep(0.01)  # and this side reads nothing meanwhile
    assert (await Live(socket).closed())[0] == 1009


async def _frames(live: Gateway, frames: list[bytes]) -> int:
    """Send frames as bytes, past the client library's own checks, and return the code that the gateway closes with."""
    socket = await dial(live, key=KEYS["alice"])
    socket.transport.write(b"".join(frames))
    return (await Live(socket).closed())[0]


def _frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


async def test_empty_pieces_without_end_are_closed(live: Gateway) -> None:
    pieces = [_frame(Opcode.TEXT, b"", fin=False), *[_frame(Opcode.CONT, b"", fin=False)] * 500]
    assert await _frames(live, pieces) == 1008


@pytest.mark.parametrize(
    ("code", "frames"),
    [
        (1002, [_frame(Opcode.TEXT, b"{}", mask=False)]),
        (1002, [b"\xf1\x80\x00\x00\x00\x00"]),
        (1002, [_frame(Opcode.CONT, b"x")]),
        (1002, [b"\x83\x80\x00\x00\x00\x00"]),
        (1007, [_frame(Opcode.TEXT, b"\xff\xfe")]),
        (1009, [b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"]),
        (1008, [_frame(Opcode.PING, b"x" * 100)] * 2000),
    ],
)
async def test_broken_frames_are_closed(live: Gateway, code: int, frames: list[bytes]) -> None:
    assert await _frames(live, frames) == code


async def test_a_member_sees_its_own_calls_alone(live: Gateway, people: People, call: Callable[..., str]) -> None:
    views = {
        "root": await Live.open(live, people.sessions["root"]),
        "ann": await Live.open(live, people.sessions["ann"]),
        "alice": await Live.open(live, people.sessions["alice"]),
        "nobody": await Live.open(live, people.sessions["nobody"]),
        "alice's key": await Live.open(live, key=KEYS["alice"]),
        "bob's key": await Live.open(live, key=KEYS["bob"]),
    }
    await views["nobody"].filter(user="alice")
    await views["bob's key"].filter(namespace="first")
    await views["root"].listening()
    for user, namespace in (("alice", "first"), ("bob", "second"), ("carol", "first"), ("carol", "second")):
        await asyncio.to_thread(call, user, namespace)
    live.call("first", KEYS["bob"], "tools/list")  # refused alike unknown, so no namespace's
    await views["root"].row(user_id="bob", namespace=None)

    async def pairs(name: str) -> set[tuple[Any, Any]]:
        await views[name].rows_within(0.6)
        return {(row["user_id"], row["namespace"]) for row in views[name].rows}

    first, second = ("alice", "first"), ("bob", "second")
    assert await pairs("root") == {first, second, ("carol", "first"), ("carol", "second"), ("bob", None)}
    assert await pairs("ann") == {first, ("carol", "first")}
    assert await pairs("alice") == {first}
    assert await pairs("alice's key") == {first}
    assert await pairs("nobody") == await pairs("bob's key") == set()
    for name, view in views.items():
        addresses = {row["client_address"] for row in view.rows}
        assert addresses <= ({"127.0.0.1"} if name in ("root", "ann") else {None}), name
        await view.close()


async def test_mine_narrows_what_may_be_seen(live: Gateway, people: People, call: Callable[..., str]) -> None:
    root, ann = [await Live.open(live, people.sessions[name]) for name in ("root", "ann")]
    for view in (root, ann):
        assert (await view.filter(mine=True))["filter"] == {"mine": True}
    other = await (await Live.open(live, people.sessions["root"])).listening()
    await asyncio.to_thread(call)
    await other.row(user_id="alice")
    assert await root.rows_within(0.5) == await ann.rows_within(0.5) == []
    await ann.filter()
    await asyncio.to_thread(call)
    await ann.row(user_id="alice")
    for view in (root, ann, other):
        await view.close()


async def test_hostile_names_arrive_as_text(live: Gateway, people: People) -> None:
    viewer = await (await Live.open(live, people.sessions["root"])).listening()
    name = '</script><img src=x onerror=alert(1)>\u202e"\\\t' + "é" * 200
    live.call("first", KEYS["alice"], "tools/call", {"name": name, "arguments": {}})
    row = await viewer.row(user_id="alice")
    assert row["tool"] == name[:120] + "…"
    assert json.loads(json.dumps(row)) == row
    await viewer.close()
