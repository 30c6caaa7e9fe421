"""A hostile upstream (cases U1 to U20): every call ends in time, nothing of it passes on that may not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway import wait_for
from tests.proxy.plane import HOSTILE_DEADLINE_S, UPSTREAM_SECRET, Caller, message, tool_call
from tests.proxy.wire import Answer
from tests.upstreams.hostile import BEHAVIOURS, BEHAVIOURS_BY_CASE
from tests.upstreams.hostile_lists import GOOD

# What each behaviour becomes: HTTP status and reason; None for an answer that passes.
BROKEN, TIMEOUTS = "upstream_broken", ("first_byte_timeout", "idle_timeout", "total_timeout")
EXPECTED: dict[str, tuple[set[int], set[str]]] = {
    **{name: ({504}, set(TIMEOUTS)) for name in BEHAVIOURS_BY_CASE["U1"]},
    # Bytes put off the idle deadline, and not that of the whole call.
    **{name: ({504}, {"total_timeout"}) for name in ("drip", "sse-comments")},
    **{name: ({502}, {"answer_too_large", "event_too_large"}) for name in BEHAVIOURS_BY_CASE["U2"]},
    **{name: ({502}, {"upstream_encoding"}) for name in BEHAVIOURS_BY_CASE["U3"]},
    **{name: ({502}, {"answer_invalid"}) for name in BEHAVIOURS_BY_CASE["U4"]},
    **{name: ({502}, {"answer_id"}) for name in BEHAVIOURS_BY_CASE["U5"]},
    **{name: ({502}, {"answer_type"}) for name in ("html", "no-ct", "utf-7")},
    "ct-sse-body-json": ({502}, {"answer_missing", "answer_invalid"}),
    "ct-json-body-sse": ({502}, {"answer_invalid"}),
    **{name: ({502}, {"upstream_closed", BROKEN, "answer_missing"}) for name in BEHAVIOURS_BY_CASE["U11"]},
    **{name: ({502}, {"upstream_redirect"}) for name in BEHAVIOURS_BY_CASE["U16"] if name.startswith("redirect")},
    **{name: ({502}, {"upstream_unauthorized"}) for name in ("status-401", "status-403", "401-meta")},
    "status-204": ({502}, {"answer_missing"}),
    "status-600": ({502}, {"upstream_status_invalid", BROKEN}),
    "status-999": ({502}, {"upstream_status_invalid", BROKEN}),
    "status-100": ({200, 502}, {BROKEN}),
    "many-headers": ({200, 502}, {BROKEN}),
    "big-header": ({502}, {BROKEN}),
    "cl-te": ({200, 502}, {BROKEN}),
}
PASSING = {"ok", "ok-sse", "extra-bytes", "sse-crlf", "sse-inject", "sse-two-answers", "sse-server-request"}
PASSING |= {"err-leak", "resp-cookies", "big-session", "sse-endpoint", *BEHAVIOURS_BY_CASE["U19"]}
# Statuses whose JSON-RPC error goes on to the client, and under which status.
RELAYED = {name: int(name[7:]) for name in BEHAVIOURS if name.startswith("status-") and name not in EXPECTED}
KEPT = {400, 404, 405, 406, 413, 429, 503}


@pytest.fixture(autouse=True)
def canary(caller: Caller) -> Iterator[None]:
    """Fail a test during which anything asked for the canary."""
    yield
    paths = {seen["path"] for seen in caller.seen("hostile")["requests"]}
    assert "/canary" not in paths


def _call(caller: Caller, name: str, tool: str = "echo", accept: str | None = None, **options: Any) -> Answer:
    """Call through a hostile namespace and hold the answer's form and time."""
    begun = time.monotonic()
    headers = {"Accept": accept} if accept else {}
    answer = caller.post(f"h-{name}", tool_call(tool, identifier=7), headers, **options)
    assert time.monotonic() - begun < HOSTILE_DEADLINE_S + 1
    found = answer.message
    assert found["jsonrpc"] == "2.0" and found["id"] == 7 and ("result" in found) != ("error" in found)
    assert b"hunter2" not in answer.body or name == "err-leak"
    assert b"poisoned" not in answer.body
    return answer


def test_every_behaviour_has_an_expected_answer() -> None:
    assert set(EXPECTED) | PASSING | set(RELAYED) == set(BEHAVIOURS)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("name", EXPECTED)
def test_a_broken_answer_becomes_an_error_of_ours(caller: Caller, name: str, accept: str) -> None:
    statuses, reasons = EXPECTED[name]
    caller.forget("hostile")
    answer = _call(caller, name, accept=accept)
    if "result" in answer.message:
        assert 200 in statuses and answer.text == "ok"
    else:
        # Once an event stream has begun, its status stays 200 and the error is its last event.
        in_stream = answer.status == 200 and answer.header("content-type") == "text/event-stream"
        assert answer.status in statuses or in_stream
        assert answer.code == -32603 and answer.reason in reasons
    assert len(caller.names_called("hostile")) == 1, "the call was repeated"


@pytest.mark.alone
@pytest.mark.parametrize("name", RELAYED)
def test_u13_u14_u15_an_http_error_with_a_json_rpc_error_passes(caller: Caller, name: str) -> None:
    begun = time.monotonic()
    answer = _call(caller, name)
    status = RELAYED[name]
    assert answer.status == (status if status in KEPT else 502)
    assert answer.message["error"] == {"code": -32000, "message": f"status {status}"}
    assert time.monotonic() - begun < 1, "it waited before it answered"
    assert answer.header("retry-after") == ("86400" if status in (429, 503) else None)
    assert answer.header("www-authenticate") is None


def test_u13_the_upstreams_challenge_is_not_the_clients(caller: Caller) -> None:
    for name in ("status-401", "401-meta"):
        answer = _call(caller, name)
        assert answer.header("www-authenticate") is None and b"canary" not in answer.body
    opening = caller.post("all-status-401", message("initialize", {"protocolVersion": "2025-11-25"}))
    assert opening.status == 502 and opening.reason == "upstream_unauthorized"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_u7_every_line_end_is_read(caller: Caller, accept: str) -> None:
    answer = _call(caller, "sse-crlf", accept=accept)
    assert answer.text == "ok"
    if accept == "text/event-stream":
        assert [event.get("method") for event in answer.events[:-1]] == ["notifications/message"] * 2
        assert b"\r" not in answer.body and b"comment" not in answer.body and b"unknown" not in answer.body


def test_u8_text_cannot_forge_an_event(caller: Caller) -> None:
    answer = _call(caller, "sse-inject", accept="text/event-stream")
    assert len(answer.events) == 1 and "forged" not in answer.message["result"]
    assert answer.text.startswith("\r\n\r\nevent: message") and b"event: forged" not in answer.body
    assert answer.header("set-cookie") is None


def test_u8_u20_an_error_text_stays_inside_its_string(caller: Caller) -> None:
    answer = _call(caller, "err-leak")
    assert answer.status == 200 and answer.code == -32603 and answer.header("x-injected") is None
    assert "hunter2" not in caller.gateway.output()


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_u9_the_first_answer_with_the_right_id_counts(caller: Caller, accept: str) -> None:
    answer = _call(caller, "sse-two-answers", accept=accept)
    assert answer.text == "first" and b"second" not in answer.body


def test_u10_a_request_of_the_servers_reaches_a_session_and_nobody_else(caller: Caller) -> None:
    bare = _call(caller, "sse-server-request", accept="text/event-stream")
    assert [event.get("method") for event in bare.events] == [None]
    modern = caller.modern(
        "h-request-modern", tool_call(identifier=7), {"Accept": "text/event-stream, application/json"}
    )
    assert [event.get("method") for event in modern.events] == [None]
    session = caller.initialize("h-sse-server-request").headers
    inside = caller.post("h-sse-server-request", tool_call(identifier=7), session)
    assert [event.get("method") for event in inside.events] == ["sampling/createMessage", None]


@pytest.mark.parametrize("name", BEHAVIOURS_BY_CASE["U12"])
def test_u12_no_answer_waits_on_a_connection_for_the_next_caller(caller: Caller, name: str) -> None:
    for _ in range(5):
        answer = _call(caller, name)
        assert answer.message.get("result") is None or answer.text == "ok"


def test_u16_no_redirect_and_no_endpoint_is_followed(caller: Caller) -> None:
    caller.forget("hostile")
    for name in BEHAVIOURS_BY_CASE["U16"]:
        for prefix in ("h", "all"):
            if prefix == "all" and name != "sse-endpoint":
                continue
            answer = caller.post(f"{prefix}-{name}", tool_call())
            assert answer.status in (400, 404, 405, 502) and answer.header("location") is None
            assert b"169.254" not in answer.body and b"canary" not in answer.body


def test_u17_only_known_headers_pass(caller: Caller) -> None:
    for accept in ("application/json", "text/event-stream"):
        answer = _call(caller, "resp-cookies", accept=accept)
        assert answer.text == "ok" and answer.header("x-request-id") != "from-upstream"
        assert {name for name, _ in answer.headers} <= {
            *("date", "content-type", "content-length", "transfer-encoding", "connection", "cache-control"),
            *("x-request-id", "x-response-time-ms", "x-accel-buffering"),
        }


def test_u17_an_oversized_session_id(caller: Caller) -> None:
    answer = _call(caller, "big-session")
    assert answer.status in (200, 502) and answer.header("mcp-session-id") is None
    opening = caller.post("all-big-session", message("initialize", {"protocolVersion": "2025-11-25"}))
    assert opening.status == 502 and opening.reason in ("session_id_invalid", BROKEN)


def _listed(answer: Answer) -> list[str]:
    return [tool["name"] for tool in answer.message["result"]["tools"]]


def test_u19_a_poisoned_list(caller: Caller) -> None:
    assert set(_listed(caller.post("guarded", message("tools/list")))) == set(GOOD)
    assert caller.post("guarded", tool_call("good_one")).text == "ok"
    for name in ("", "new\nline", "nul\0", "../../etc/passwd", "broken_schema"):
        assert caller.post("guarded", tool_call(name)).code == -32602


@pytest.mark.parametrize("namespace", ["looping", "growing"])
def test_u19_a_list_without_an_end_is_looked_at_within_bounds(caller: Caller, namespace: str) -> None:
    caller.forget("hostile")
    begun = time.monotonic()
    answer = caller.post(namespace, tool_call("never-listed"))
    assert answer.status in (200, 502) and answer.code in (-32602, -32603)
    assert time.monotonic() - begun < HOSTILE_DEADLINE_S + 1
    assert len(caller.seen("hostile")["requests"]) <= 110


def test_u19_large_and_changing_lists_pass(caller: Caller) -> None:
    assert len(_listed(caller.post("h-tools-10k", message("tools/list")))) == 10_000
    assert [_listed(caller.post("h-tools-rug-pull", message("tools/list"))) for _ in range(2)] == [["weather"]] * 2
    assert caller.post("h-tools-not-list", message("tools/list")).status in (200, 502)


def test_u19_a_changed_tool_is_noticed(caller: Caller) -> None:
    digest = (
        "SELECT digest FROM namespaces_catalogueentry e JOIN namespaces_upstream u ON u.id = e.upstream_id"
        " WHERE u.slug = 'h-tools-rug-pull'"
    )
    caller.post("h-tools-rug-pull", message("tools/list"))
    before = wait_for(lambda: caller.gateway.query(digest), 10)
    caller.post("h-tools-rug-pull", message("tools/list"))
    wait_for(lambda: caller.gateway.query(digest) not in ([], before), 10)


def test_the_upstreams_credential_goes_to_it_and_to_nobody_else(caller: Caller) -> None:
    caller.forget("sdk", "hostile")
    assert UPSTREAM_SECRET not in caller.post("echo", tool_call()).body.decode()
    caller.post("h-ok", tool_call())
    caller.modern("open", tool_call())
    sent = [dict(seen["headers"]).get("authorization") for seen in caller.seen("sdk")["requests"]]
    assert set(sent) == {f"Bearer {UPSTREAM_SECRET}"}
    names = {name.lower() for seen in caller.seen("hostile")["requests"] for name, _ in seen["headers"]}
    assert "authorization" not in names and "x-api-key" not in names


def test_r6_a_schema_writes_no_header_of_its_own(caller: Caller) -> None:
    """Where bare calls mirror arguments into headers, the upstream's schema names them."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "x-mcp-header": "A\r\nX-Injected: yes"},
            "b": {"type": "string", "x-mcp-header": "B: c"},
            "c": {"type": "string", "x-mcp-header": "Good"},
        },
    }
    caller.gateway.query(
        "INSERT INTO namespaces_catalogueentry (upstream_id, kind, name, title, description, definition, digest,"
        " first_seen_at, changed_at) SELECT id, 'tool', 'mirrored', '', '', %s::jsonb, '', now(), now()"
        " FROM namespaces_upstream WHERE slug = 'h-ok-modern' ON CONFLICT DO NOTHING",
        json.dumps({"name": "mirrored", "inputSchema": schema}),
    )
    arguments = {"a": "one", "b": "two", "c": "line\r\nX-Injected: yes"}

    def mirrored() -> dict[str, str]:
        caller.forget("hostile")
        assert caller.post("h-ok-modern", tool_call("mirrored", arguments)).status == 200
        (seen,) = (seen for seen in caller.seen("hostile")["requests"] if seen["rpc_method"] == "tools/call")
        return {name.lower(): value for name, value in seen["headers"]}

    wait_for(lambda: "mcp-param-good" in mirrored(), 5)
    sent = mirrored()
    assert sent["mcp-param-good"].startswith("=?base64?") and "x-injected" not in sent
    assert [name for name in sent if name.startswith("mcp-param")] == ["mcp-param-good"]
