"""The shape of JSON-RPC messages (cases JR1 to JR11)."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.proxy.plane import Caller, expect_refused, message, tool_call
from tests.proxy.wire import Answer


def _refused(caller: Caller, content: Any, codes: list[int], statuses: tuple[int, ...] = (400,)) -> Answer:
    before = caller.count()["calls"]
    answer = caller.post("echo", content)
    expect_refused(answer, statuses, codes)
    assert caller.count()["calls"] == before, "a call reached the upstream"
    return answer


@pytest.mark.parametrize("version", [..., None, "1.0", 2, 2.0, "2", "2.0 ", "2.00", ["2.0"], {"v": "2.0"}, True])
def test_jr1_jsonrpc(caller: Caller, version: Any) -> None:
    content = {name: value for name, value in (tool_call() | {"jsonrpc": version}).items() if value is not ...}
    _refused(caller, content, [-32600])


@pytest.mark.parametrize("method", [..., None, 1, [], {}, "", True, ["tools/call"]])
def test_jr2_method_is_no_text(caller: Caller, method: Any) -> None:
    content = {name: value for name, value in (tool_call() | {"method": method}).items() if value is not ...}
    _refused(caller, content, [-32600])


@pytest.mark.parametrize(
    "method",
    ["Tools/Call", "TOOLS/CALL", "tools/call ", " tools/call", "tools/call\0", "tools/call\n", "tool\u017f/call"]
    + ["tools\\call", "x" * 100_000, "täols/call", "notifications/x y"],
)
def test_jr3_a_method_spelt_otherwise(caller: Caller, method: str) -> None:
    answer = _refused(caller, tool_call() | {"method": method}, [-32601, -32600], (400, 404))
    assert answer.json["id"] == 1


@pytest.mark.parametrize("method", ["nothing/like/it", "rpc.discover", "tools/delete"])
def test_jr4_an_unknown_method_is_the_upstreams_to_refuse_or_ours_where_rules_stand(
    caller: Caller, method: str
) -> None:
    open_answer = caller.post("echo", message(method, {}))
    assert open_answer.code == -32601 and open_answer.status in (200, 400, 404)
    caller.forget("sdk")
    closed = caller.post("listed", message(method, {"name": "add"}))
    expect_refused(closed, [400, 404], [-32601])
    assert caller.seen("sdk")["requests"] == []


@pytest.mark.parametrize("identifier", [None, {}, [], [1], True, False, 1.5, 1e2])
def test_jr5_ids_of_other_types(caller: Caller, identifier: Any) -> None:
    _refused(caller, tool_call(identifier=identifier), [-32600])


IDS = ["", "a", "1", 0, -1, 2**53 + 1, 2**70, "a\r\nb", "data: x\n\nevent: y", "\u2028", "ż🐢", '"', "x" * 1024, "null"]


@pytest.mark.parametrize("identifier", IDS)
@pytest.mark.parametrize("namespace", ["echo", "open", "kept"])
def test_jr6_ids_come_back_exactly(caller: Caller, namespace: str, identifier: Any) -> None:
    answer = caller.post(namespace, tool_call(identifier=identifier))
    assert answer.status == 200, answer
    assert answer.message["id"] == identifier and type(answer.message["id"]) is type(identifier)


@pytest.mark.parametrize("identifier", ["a\r\nb", "data: x\n\nevent: y\ndata: z", "\u2028", 2**70])
def test_jr6_ids_do_not_break_a_streams_framing(caller: Caller, identifier: Any) -> None:
    for namespace, tool in (("echo", "stream"), ("open", "test_tool_with_progress")):
        content = tool_call(tool, {"count": 2, "interval_ms": 1}, identifier)
        answer = caller.post(namespace, content, {"Accept": "text/event-stream"})
        assert answer.status == 200 and answer.header("content-type") == "text/event-stream"
        assert answer.message["id"] == identifier
        assert [event.get("id") for event in answer.events].count(identifier) == 1


@pytest.mark.parametrize("identifier", ["x" * 1025, "x" * (1 << 20)])
def test_jr6_ids_too_long(caller: Caller, identifier: str) -> None:
    assert _refused(caller, tool_call(identifier=identifier), [-32600]).json["id"] is None


@pytest.mark.parametrize("params", [[], ["echo"], "echo", None, 1, True])
def test_jr7_params_of_other_types(caller: Caller, params: Any) -> None:
    _refused(caller, message("tools/call", params), [-32602, -32600])
    _refused(caller, message("tools/list", params), [-32602, -32600])


@pytest.mark.parametrize("meta", ["text", [], 1, True])
def test_jr7_meta_of_other_types(caller: Caller, meta: Any) -> None:
    _refused(caller, message("tools/list", {"_meta": meta}), [-32602, -32600])


def test_jr7_a_cursor_of_another_type_is_refused_by_whoever_reads_it(caller: Caller) -> None:
    answer = caller.post("open", message("tools/list", {"cursor": {"$gt": ""}}))
    assert answer.status in (200, 400) and answer.code in (-32602, -32600)


@pytest.mark.parametrize(
    "content",
    [{"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "id": "x", "error": {"code": 1, "message": "no"}}],
)
def test_jr8_a_response_nobody_asked_for(caller: Caller, content: dict[str, Any]) -> None:
    before = caller.count()["calls"]
    answer = caller.post("echo", content)
    assert answer.status in (202, 400) and caller.count()["calls"] == before
    session = caller.initialize("kept")
    assert caller.post("kept", content, session.headers).status in (202, 400)


@pytest.mark.parametrize(
    "content", [{"id": 1}, {"id": 1, "result": 1, "error": {}}, {"result": 1}, {"id": 1, "result": 1, "params": {}}]
)
def test_jr8_neither_request_nor_response(caller: Caller, content: dict[str, Any]) -> None:
    _refused(caller, {"jsonrpc": "2.0"} | content, [-32600])


@pytest.mark.parametrize("name", ["add", "echo"])
def test_jr9_a_call_without_an_id_is_no_way_around_the_rules(caller: Caller, name: str) -> None:
    caller.forget("sdk")
    content = {key: value for key, value in tool_call(name, {"a": 1, "b": 1}).items() if key != "id"}
    for headers in ({}, {"MCP-Protocol-Version": "2025-11-25"}, caller.initialize("listed").headers):
        assert caller.post("listed", content, headers).status in (202, 400)
    assert caller.names_called("sdk") == []


def test_jr10_cancelling_someone_elses_call_does_nothing(caller: Caller) -> None:
    answers: list[Answer] = []
    calling = threading.Thread(
        target=lambda: answers.append(
            caller.post("open", tool_call("slow", {"seconds": 0.6}, 77), {"Accept": "text/event-stream"})
        )
    )
    calling.start()
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 77}}
    for key in ("alice", "carol"):
        for headers in ({}, caller.initialize("open", key=key).headers):
            assert caller.post("open", cancel, headers, key=key).status in (202, 400)
    calling.join(10)
    assert answers[0].text == "slept 0.6 s"


def test_jr11_the_same_id_twice_at_once(caller: Caller) -> None:
    session = caller.initialize("kept")
    answers: dict[int, Answer] = {}

    def call(number: int) -> None:
        arguments = {"count": 2, "interval_ms": 50} if number % 2 else {"n": number}
        tool = "stream" if number % 2 else "echo"
        headers = session.headers if number < 4 else {}
        answers[number] = caller.post("kept", tool_call(tool, arguments, 5), headers)

    threads = [threading.Thread(target=call, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for number, answer in answers.items():
        assert answer.message["id"] == 5
        assert json.loads(answer.text) == ({"events": 2} if number % 2 else {"n": number})
