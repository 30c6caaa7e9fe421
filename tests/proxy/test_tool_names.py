"""Names of tools, prompts and resources (cases T1 to T10): taken to the letter, the same rule for lists and calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway import wait_for
from tests.proxy.plane import Caller, message, tool_call

ODD_NAMES: list[str] = [
    *("add ", " add", "add\n", "\tadd", "add\0", "\0", "ad\u200bd", "add\u200b", "\ufeffadd", "\u202eadd", "a\u200ddd"),
    *("ａｄｄ", "аdd", "a\u0301dd", "Add", "ADD", "aDD", "add\u0301"),
    *("%61dd", "../add", "a/b", "./add", "add/", "add;x", "add?x", "add#x", "' OR 1=1 --", "<b>add</b>", "add\r\nX: y"),
    *(
        "${jndi:ldap://x}",
        "{{7*7}}",
        "x" * 10_000,
        "open__add",
        "__add",
        "listed__add",
        "open.add",
        "sdk/add",
        "*",
        "?",
        "a*",
    ),
    *("[a]dd", "add,echo", "echo,add"),
]


@pytest.mark.parametrize("namespace", ["listed", "denied", "echo"])
@pytest.mark.parametrize("name", ["", None, 1, 1.5, [], ["echo"], {}, {"name": "echo"}, True, ...])
def test_t1_a_name_that_is_none(caller: Caller, namespace: str, name: Any) -> None:
    before = caller.count()["calls"]
    params = {key: value for key, value in {"name": name, "arguments": {}}.items() if value is not ...}
    answer = caller.post(namespace, message("tools/call", params))
    assert answer.code == -32602 and answer.status in (200, 400) and caller.count()["calls"] == before


@pytest.mark.parametrize("namespace", ["listed", "denied"])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_t2_t3_t4_t6_a_denied_name_spelt_otherwise_is_an_unknown_one(caller: Caller, namespace: str, name: str) -> None:
    caller.forget("sdk")
    for send in (caller.post, caller.modern):
        answer = send(namespace, tool_call(name, {"a": 1, "b": 2}))
        assert answer.status in (200, 400) and answer.code in (-32602, -32020), answer
    assert caller.names_called("sdk") == []


@pytest.mark.parametrize("namespace", ["listed", "denied"])
@pytest.mark.parametrize("name", ["\\ud800", "add\\udc00"])
def test_t4_a_lone_surrogate(caller: Caller, namespace: str, name: str) -> None:
    caller.forget("sdk")
    body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{{}}}}}}'
    answer = caller.post(namespace, body.encode())
    assert answer.status in (200, 400) and answer.code in (-32602, -32700) and caller.names_called("sdk") == []


def test_t5_a_denied_name_is_refused_on_every_way_and_recorded(caller: Caller) -> None:
    caller.forget("sdk")
    session = caller.initialize("listed")
    call = tool_call("add", {"a": 1, "b": 2}, "t5")
    answers = [
        caller.post("listed", call, {"X-Request-Id": "t5-bare"}),
        caller.post("listed", call, {"X-Request-Id": "t5-stream", "Accept": "text/event-stream"}),
        caller.post("listed", call, session.headers | {"X-Request-Id": "t5-session"}),
        caller.post("listed", call, {"MCP-Protocol-Version": "2025-06-18", "X-Request-Id": "t5-version"}),
        caller.modern("listed", call, {"X-Request-Id": "t5-modern"}),
        caller.post("denied", call, {"X-Request-Id": "t5-denied"}),
    ]
    for answer in answers:
        assert answer.status == 200 and answer.code == -32602 and answer.message["id"] == "t5"
        assert answer.message["error"] == {"code": -32602, "message": "Unknown tool: add"}
    assert caller.names_called("sdk") == []
    rows = "SELECT outcome, reason, tool FROM analytics_requestlog WHERE request_id LIKE 't5-%%'"
    wait_for(lambda: len(caller.gateway.query(rows)) == len(answers), 10)
    assert set(caller.gateway.query(rows)) == {("denied", "tool_denied", "add")}


def test_t5_denied_and_unknown_names_get_the_same_words(caller: Caller) -> None:
    for namespace in ("listed", "denied"):
        denied = caller.post(namespace, tool_call("add", {"a": 1, "b": 2})).body
        unknown = caller.post(namespace, tool_call("nil", {"a": 1, "b": 2})).body
        assert denied.replace(b"add", b"nil") == unknown


def test_a_list_shows_what_may_be_called_and_nothing_else(caller: Caller) -> None:
    everything = {tool["name"] for tool in caller.post("open", message("tools/list")).message["result"]["tools"]}
    allowed = {tool["name"] for tool in caller.post("denied", message("tools/list")).message["result"]["tools"]}
    assert allowed == {name for name in everything if name != "add" and not name.startswith("test_")}
    for send in (caller.post, caller.modern):
        listed = send("listed", message("tools/list")).message["result"]
        assert [tool["name"] for tool in listed["tools"]] == ["echo"]
    assert listed["cacheScope"] == "private" and listed["ttlMs"] <= 2000


@pytest.mark.parametrize("arguments", ["text", ["a"], 1, None])
def test_t7_arguments_of_other_types_are_the_upstreams_to_judge(caller: Caller, arguments: Any) -> None:
    answer = caller.post("open", message("tools/call", {"name": "echo", "arguments": arguments}))
    assert answer.status in (200, 400) and (answer.code in (-32602, -32600) or answer.message["result"]["isError"])


def test_t8_secrets_in_arguments_work_and_stand_in_no_log(caller: Caller) -> None:
    secret = "hunter2-in-an-argument"
    pem = f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----"
    arguments = {"message": "x", "password": secret, "token": secret, "pem": pem, "card": "4111111111111111"}
    assert caller.post("open", tool_call("echo", arguments)).message["result"]["structuredContent"] == arguments
    assert secret not in caller.gateway.output() and "4111111111111111" not in caller.gateway.output()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("prompts/get", {"name": "test_simple_prompt"}),
        ("resources/read", {"uri": "test://static-text"}),
        ("resources/read", {"uri": "test://template/1/data"}),
        ("resources/subscribe", {"uri": "test://static-text"}),
        ("resources/unsubscribe", {"uri": "test://static-text"}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "test_simple_prompt"}, "argument": {"name": "a", "value": "p"}},
        ),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/resource", "uri": "test://template/{id}/data"},
                "argument": {"name": "a", "value": "p"},
            },
        ),
    ],
)
def test_t9_forbidden_prompts_and_resources(caller: Caller, method: str, params: dict[str, Any]) -> None:
    session = caller.initialize("listed")
    caller.forget("sdk")
    answer = caller.post("listed", message(method, params), session.headers)
    assert answer.status == 200 and answer.code in (-32602, -32002)
    assert caller.seen("sdk")["requests"] == []
    assert caller.post("open", message(method, params), caller.initialize("open").headers).code is None


@pytest.mark.parametrize("method", ["prompts/list", "resources/list", "resources/templates/list"])
def test_t9_lists_of_forbidden_kinds_are_empty(caller: Caller, method: str) -> None:
    (entries,) = (
        value for value in caller.post("listed", message(method)).message["result"].values() if isinstance(value, list)
    )
    assert entries == []


@pytest.mark.parametrize(
    "ref", [..., None, "x", {}, {"type": "ref/tool", "name": "add"}, {"type": "ref/prompt", "name": 1}]
)
def test_t9_a_completion_that_names_nothing(caller: Caller, ref: Any) -> None:
    params = {
        key: value for key, value in {"ref": ref, "argument": {"name": "a", "value": "b"}}.items() if value is not ...
    }
    assert caller.post("listed", message("completion/complete", params)).code == -32602


def test_t9_forbidden_kinds_are_no_capability(caller: Caller) -> None:
    opened = caller.initialize("listed").opening.message["result"]["capabilities"]
    assert "tools" in opened and not {"prompts", "resources", "completions"} & opened.keys()
    found = caller.modern("listed", message("server/discover")).message["result"]
    assert (
        not {"prompts", "resources", "completions"} & found["capabilities"].keys() and found["cacheScope"] == "private"
    )
    assert {"prompts", "resources"} <= caller.initialize("open").opening.message["result"]["capabilities"].keys()


@pytest.mark.parametrize("token", ["x", 0, -1, "gateway", 2**60, "\r\n\r\n"])
def test_t10_a_progress_token_is_only_passed_on(caller: Caller, token: Any) -> None:
    content = tool_call("test_tool_with_progress")
    content["params"]["_meta"] = {"progressToken": token}
    answer = caller.modern("open", content)
    steps = [event["params"]["progressToken"] for event in answer.events[:-1]]
    assert steps == [token] * 3


def test_t10_meta_keys_that_look_like_ours_give_no_right(caller: Caller) -> None:
    content = tool_call("add", {"a": 1, "b": 2})
    content["params"]["_meta"] = {
        "gateway/allow": True,
        "mcp-gateway/user": "admin",
        "io.modelcontextprotocol/serverInfo": {},
    }
    assert caller.post("listed", content).code == -32602
