"""The protocol end to end, byte by byte on the client's side: sessions, streams, requests back, healing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway import wait_for
from tests.proxy.plane import (
    BOTH,
    KEYS,
    LEGACY,
    META,
    MODERN,
    Caller,
    LegacySession,
    expect_refused,
    message,
    tool_call,
)
from tests.proxy.wire import Connection, request
from tests.upstreams.listening import started

ASKING = {"sampling": {}, "elicitation": {"form": {}}, "roots": {"listChanged": True}}


def _modern_stream(caller: Caller, content: dict[str, Any]) -> Connection:
    content["params"]["_meta"] = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": content["method"]}
    return caller.open_stream("open", content, headers)


def test_a_legacy_session_from_initialize_to_delete(caller: Caller) -> None:
    session = caller.initialize("open")
    assert session.opening.message["result"]["protocolVersion"] == LEGACY and len(session.id) > 40
    assert caller.post("open", tool_call("add", {"a": 2, "b": 3}), session.headers).text == "5"
    with caller.open_stream("open", headers=session.headers) as stream:
        assert (
            caller.post("open", message("resources/subscribe", {"uri": "test://static-text"}), session.headers).code
            is None
        )
        update = stream.read_message()
    assert update["method"] == "notifications/resources/updated" and update["params"]["uri"] == "test://static-text"
    assert caller.send("/mcp/open", headers=session.headers, method="DELETE").status == 200
    for _ in range(2):
        answer = caller.post("open", tool_call(), session.headers)
        assert answer.status == 404 and answer.message["id"] in (1, None)


def test_a_stream_that_the_server_closed_is_resumed(caller: Caller) -> None:
    session = caller.initialize("open")
    headers = session.headers | {"Accept": "text/event-stream"}
    first = caller.post("open", tool_call("test_reconnection", identifier=31), headers)
    assert first.status == 200 and not any("result" in event for event in first.events)
    event = next(line for line in first.body.decode().splitlines() if line.startswith("id: ")).removeprefix("id: ")
    assert "retry: 100" in first.body.decode()
    with caller.open_stream("open", headers=session.headers | {"Last-Event-ID": event}) as stream:
        while (answer := stream.read_message()).get("id") != 31:
            pass
    assert answer["result"]["content"][0]["text"] == "Reconnection test completed successfully"
    other = caller.initialize("open")
    for stranger, key in ((other, "alice"), (caller.initialize("open", key="carol"), "carol")):
        resumed = stranger.headers | {"Last-Event-ID": event, "Accept": "text/event-stream"}
        refused = caller.send("/mcp/open", headers=resumed, method="GET", key=key)
        expect_refused(refused, [400], [-32600])


def _reply(caller: Caller, session: LegacySession, asked: dict[str, Any], result: dict[str, Any]) -> None:
    answer = caller.post("open", {"jsonrpc": "2.0", "id": asked["id"], "result": result}, session.headers)
    assert answer.status == 202 and answer.body == b""


@pytest.mark.parametrize(
    ("tool", "arguments", "method", "result", "said"),
    [
        (
            "test_sampling",
            {"prompt": "two and two"},
            "sampling/createMessage",
            {"role": "assistant", "content": {"type": "text", "text": "four"}, "model": "none"},
            "LLM response: four",
        ),
        (
            "test_elicitation",
            {"message": "who"},
            "elicitation/create",
            {"action": "accept", "content": {"username": "ada", "email": "a@b.example"}},
            "ada",
        ),
        ("list_roots", {}, "roots/list", {"roots": [{"uri": "file:///srv/project"}]}, "file:///srv/project"),
    ],
)
def test_the_server_asks_the_client_back(
    caller: Caller, tool: str, arguments: dict[str, Any], method: str, result: dict[str, Any], said: str
) -> None:
    session = caller.initialize("open", ASKING)
    call = tool_call(tool, identifier="ask")
    call["params"]["arguments"] = arguments
    with (
        caller.open_stream("open", headers=session.headers) as standing,
        caller.open_stream("open", call, session.headers) as stream,
    ):
        # This server asks for roots outside the call, so on the standing stream.
        asked = (standing if method == "roots/list" else stream).read_message()
        assert asked["method"] == method and "id" in asked
        stranger = caller.initialize("open", ASKING, key="carol")
        forged = {"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": [], "action": "decline"}}
        assert caller.post("open", forged, stranger.headers, key="carol").status in (202, 400, 404)
        _reply(caller, session, asked, result)
        answer = stream.read_message()
    assert answer["id"] == "ask" and said in answer["result"]["content"][0]["text"]


def test_progress_comes_while_the_tool_works(caller: Caller) -> None:
    content = tool_call("slow", {"seconds": 1})
    content["params"]["_meta"] = {"progressToken": "p"}
    session = caller.initialize("open")
    arrivals = []
    with caller.open_stream("open", content, session.headers) as stream:
        while "result" not in (found := stream.read_message()):
            arrivals.append((time.monotonic(), found["params"]["progress"]))
    assert [step for _, step in arrivals] == list(range(11))
    assert arrivals[-1][0] - arrivals[0][0] > 0.8, "the steps came together"


def test_a_silent_stream_is_kept_alive_with_comments(caller: Caller) -> None:
    session = caller.initialize("open")
    with caller.open_stream("open", headers=session.headers) as stream:
        stream.socket.settimeout(3)
        chunks = b""
        while chunks.count(b": keep-alive\n\n") < 2:
            chunks += stream.read_chunk()


def test_listen_acknowledges_first_and_then_announces(caller: Caller) -> None:
    wanted = {"toolsListChanged": True, "promptsListChanged": False}
    with _modern_stream(caller, message("subscriptions/listen", {"notifications": wanted}, "L1")) as stream:
        first = stream.read_message()
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"]["_meta"][f"{META}subscriptionId"] == "L1"
        caller.modern("open", tool_call("test_trigger_prompt_change"))
        caller.modern("open", tool_call("test_trigger_tool_change"))
        change = stream.read_message()
    assert change["method"] == "notifications/tools/list_changed"
    assert change["params"]["_meta"][f"{META}subscriptionId"] == "L1"
    wait_for(lambda: caller.seen("sdk")["open"] == 0, 2, "the upstream's stream stayed open")


def test_input_required_travels_through_the_client(caller: Caller) -> None:
    call = tool_call("test_input_required_result_request_state", identifier=1)
    call["params"]["_meta"] = {f"{META}clientCapabilities": {"elicitation": {"form": {}}}}
    asked = caller.modern("open", call).message["result"]
    assert (
        asked["resultType"] == "input_required" and asked["inputRequests"]["confirm"]["method"] == "elicitation/create"
    )
    again = json.loads(json.dumps(call)) | {"id": 2}
    again["params"]["requestState"] = asked["requestState"]
    again["params"]["inputResponses"] = {"confirm": {"action": "accept", "content": {"ok": True}}}
    assert caller.modern("open", again).text == "state-ok"
    again["params"]["requestState"] += "x"
    assert caller.modern("open", again).code == -32602


def test_modern_errors_keep_their_status_and_code(caller: Caller) -> None:
    call = tool_call("test_missing_capability")
    answer = caller.modern("open", call)
    assert answer.status == 400 and answer.code == -32021 and answer.message["id"] == 1
    assert answer.message["error"]["data"] == {"requiredCapabilities": {"sampling": {}}}
    for method in ("initialize", "ping", "logging/setLevel", "nothing/like/it"):
        gone = caller.modern("open", message(method, {}))
        assert gone.status == 404 and gone.code == -32601 and gone.message["id"] == 1
    unsupported = caller.modern("open", message("tools/list", {"_meta": {f"{META}protocolVersion": "2099-01-01"}}),
                                {"MCP-Protocol-Version": "2099-01-01"})  # fmt: skip
    assert unsupported.code == -32022 and MODERN in unsupported.message["error"]["data"]["supported"]


@pytest.mark.parametrize("namespace", ["echo", "kept", "open", "h-ok-modern"])
@pytest.mark.parametrize("accept", [None, "application/json", "text/event-stream", "*/*", BOTH])
def test_a_bare_call_works_with_any_accept(caller: Caller, namespace: str, accept: str | None) -> None:
    """A.1 and A.2: a session-keeping, a stateless and a modern upstream, a bare client that takes one type or both."""
    for tool in ("echo", "test_tool_with_progress") if namespace == "open" else ("echo",):
        answer = caller.post(namespace, tool_call(tool, identifier="bare"), {"Accept": accept})  # type: ignore[dict-item]
        kind = answer.header("content-type")
        assert answer.status == 200 and answer.message["id"] == "bare" and "result" in answer.message
        if accept == "text/event-stream":
            assert kind == "text/event-stream"
        elif accept in (None, "application/json", "*/*"):
            assert kind == "application/json"


def test_a_bare_notification_is_acknowledged_and_goes_nowhere(caller: Caller) -> None:
    caller.forget("sdk")
    answer = caller.post("open", {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert answer.status == 202 and answer.body == b"" and caller.seen("sdk")["requests"] == []


def test_an_upstream_that_forgot_its_sessions_is_healed_for_bare_calls_and_a_404_for_sessions(caller: Caller) -> None:
    port = str(urlsplit(caller.upstreams["restarted"]).port)
    command = ("tests.upstreams.echo_fast", "--port", port, "--sessions")
    with started(*command):
        assert caller.post("restarted", tool_call()).status == 200
        session = caller.initialize("restarted")
        assert caller.post("restarted", tool_call(), session.headers).status == 200
    down = caller.post("restarted", tool_call())
    expect_refused(down, [502], [-32603])
    assert down.reason in ("upstream_unreachable", "upstream_closed")
    with started(*command):
        healed = caller.post("restarted", tool_call(identifier="again"))
        assert healed.status == 200 and healed.message["id"] == "again"
        assert caller.count("restarted")["calls"] == 1, "the call was run twice"
        gone = caller.post("restarted", tool_call(), session.headers)
        assert gone.status == 404 and caller.count("restarted")["calls"] == 1


def test_a_key_has_only_so_many_streams(caller: Caller) -> None:
    session = caller.initialize("open", key="streaming")
    sessions = [caller.initialize("open", key="streaming").headers for _ in range(8)]
    streams = [caller.open_stream("open", headers=headers, key="streaming") for headers in sessions]
    try:
        headers = session.headers | {"Accept": "text/event-stream"}
        refused = caller.send("/mcp/open", headers=headers, method="GET", key="streaming")
        expect_refused(refused, [429], [-31429])
        assert refused.reason == "streams_exhausted" and refused.header("retry-after") == "1"
        assert caller.post("open", tool_call(), session.headers, key="streaming").text == "hello"
    finally:
        for stream in streams:
            stream.close()
    wait_for(lambda: caller.seen("sdk")["open"] == 0, 3, "the upstream's streams stayed open")
    caller.open_stream("open", headers=session.headers, key="streaming").close()


@pytest.mark.alone
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("namespace", ["echo", "kept"])
@pytest.mark.parametrize("is_bare", [True, False])
def test_p10_an_upstream_learns_at_once_that_the_client_left(
    caller: Caller, namespace: str, accept: str, is_bare: bool
) -> None:
    headers = {} if is_bare else caller.initialize(namespace).headers
    before = caller.count(namespace)["left"]
    with Connection(caller.port) as connection:
        sent = {"X-API-Key": KEYS["alice"], "Content-Type": "application/json", "Accept": accept} | headers
        connection.send(request(f"/mcp/{namespace}", json.dumps(tool_call("hang")).encode(), list(sent.items())))
        wait_for(lambda: caller.count(namespace)["open"] == 1, 3)
    begun = time.monotonic()
    wait_for(lambda: caller.count(namespace)["left"] == before + 1, 2)
    assert time.monotonic() - begun < 1.0


def test_p30_readers_that_read_nothing_are_bounded_and_cut(caller: Caller) -> None:
    """20 streams as fast as they are taken, read by nobody: the upstream is held back, and all ends at the deadline."""
    (pid,) = caller.gateway.worker_pids()

    def resident() -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def sockets() -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    time.sleep(5)  # until the connections of the tests before are closed, which idle ones are after 4 s
    assert caller.post("echo", tool_call()).status == 200
    before, descriptors = resident(), sockets()
    streams, most = [], 0
    for _ in range(20):
        # Small buffers: on a slow machine too, they are full by the deadline.
        streams.append(caller.open_stream("flood", tool_call(), receive_buffer=16 << 10))
        most = max(most, sockets())
    assert most >= descriptors + 10, "hardly any was open beside another"
    time.sleep(1)
    assert resident() - before < 20 * (2 << 20), "more than 2 MiB a reader"
    assert caller.post("echo", tool_call()).status == 200
    wait_for(lambda: caller.seen("hostile")["open"] <= 1, 4, "the upstream's calls outlived their deadline")
    wait_for(lambda: sockets() <= descriptors + 3, 5, "clients that read nothing are waited for")
    for stream in streams:
        stream.close()
