"""A hostile upstream at the other end of a GET stream (group U): an error, an end, or events that are what they say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway import wait_for
from tests.proxy.plane import HOSTILE_DEADLINE_S, KEYS, STANDING, Caller
from tests.proxy.wire import Connection, request

# What the client is told when no stream begins.
REFUSED: dict[str, tuple[int, set[str]]] = {
    "hang": (504, {"first_byte_timeout"}),
    "slow-head": (504, {"first_byte_timeout"}),
    **dict.fromkeys(("html", "utf-7", "ct-json-body-sse", "bad-chunk"), (502, {"answer_type", "upstream_broken"})),
    "gzip-bad": (502, {"upstream_encoding"}),
    **dict.fromkeys(("close", "reset", "http09"), (502, {"upstream_closed", "upstream_broken"})),
    "status-401": (502, {"upstream_unauthorized"}),
    "status-429": (429, {"upstream_status"}),
    "status-600": (502, {"upstream_status_invalid", "upstream_broken"}),
    **dict.fromkeys(("redirect-canary", "redirect-meta"), (502, {"upstream_redirect"})),
    "resp-cookies": (502, {"answer_type"}),
    **dict.fromkeys(("many-headers", "big-header"), (502, {"upstream_broken"})),
}
# Methods of the events that come on a stream that begins; it may stay open behind them.
EVENTS: dict[str, list[str]] = {
    "sse-idle": [],
    "sse-comments": [],
    "sse-huge-line": [],
    "ct-sse-body-json": [],
    "sse-crlf": ["notifications/message"] * 2,
    "sse-inject": [],  # its one event answers nothing that was asked
    "sse-two-answers": [],
    "sse-server-request": ["sampling/createMessage"],
    "close-mid-sse": [],
    "sse-endpoint": [],
}


@pytest.fixture(autouse=True)
def canary(caller: Caller) -> Iterator[None]:
    """Fail a test during which anything asked for the canary, or that leaves an upstream's stream open."""
    yield
    assert "/canary" not in {seen["path"] for seen in caller.seen("hostile")["requests"]}
    wait_for(lambda: caller.seen("hostile")["open"] <= 1, 5, "a stream of the upstream stayed open")


def _open(caller: Caller, name: str) -> tuple[Connection, Any]:
    connection = Connection(caller.port)
    sent = {"Authorization": f"Bearer {KEYS['alice']}", "Accept": "text/event-stream", "Connection": "close"}
    connection.send(request(f"/mcp/get-{name}", b"", list(sent.items()), method="GET"))
    return connection, connection.read_head()


def test_every_behaviour_has_an_expected_end() -> None:
    assert set(REFUSED) | set(EVENTS) | {"endless-sse"} == set(STANDING)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_stream_is_an_error_of_ours(caller: Caller, name: str) -> None:
    status, reasons = REFUSED[name]
    begun = time.monotonic()
    answer = caller.send(f"/mcp/get-{name}", headers={"Accept": "text/event-stream"}, method="GET")
    assert time.monotonic() - begun < HOSTILE_DEADLINE_S + 1
    assert answer.status == status and answer.reason in reasons, answer
    assert b"hunter2" not in answer.body and b"canary" not in answer.body and answer.header("location") is None


@pytest.mark.parametrize("name", EVENTS)
def test_only_what_is_an_event_of_the_servers_passes(caller: Caller, name: str) -> None:
    connection, head = _open(caller, name)
    with connection:
        assert head.status == 200 and head.header("content-type") == "text/event-stream"
        text = connection.gather(1.0)
    data = [line[6:] for line in text.split(b"\n") if line.startswith(b"data: ")]
    assert [json.loads(one).get("method") for one in data] == EVENTS[name], text
    assert b"\r" not in text and b"poisoned" not in text and b"forged" not in text and b"canary" not in text
    assert head.header("set-cookie") is None


def test_an_endless_stream_is_passed_as_fast_as_it_is_read(caller: Caller) -> None:
    """A standing stream has no size; it lasts until its reader leaves, and longer than a call may take."""
    connection, head = _open(caller, "endless-sse")
    with connection:
        assert head.status == 200
        text = connection.gather(HOSTILE_DEADLINE_S + 0.5)
    assert len(text) > 1 << 21 and text.count(b'"notifications/message"') > 1000
