"""Isolation (P24): two keys, two namespaces, the same ids, sessions and names; nobody gets another's answer."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor

from tests.proxy.plane import Caller, LegacySession, expect_refused, message, tool_call

CALLS = 1000


def test_p24_every_answer_carries_its_callers_nonce(caller: Caller) -> None:
    """1,000 calls at 25 at once, through three namespaces over two upstreams, all with the same id."""
    sessions = {key: caller.initialize("kept", key=key) for key in ("alice", "carol")}

    def call(number: int) -> bool:
        nonce = secrets.token_hex(8)
        key = "alice" if number % 2 else "carol"
        namespace = ("echo", "kept", "kept")[number % 3]
        headers = sessions[key].headers if number % 3 == 1 else {}
        accept = {"Accept": "text/event-stream"} if number % 5 == 0 else {}
        answer = caller.post(namespace, tool_call("echo", {"nonce": nonce}, 1), headers | accept, key=key)
        return answer.message["id"] == 1 and json.loads(answer.text) == {"nonce": nonce}

    with ThreadPoolExecutor(25) as pool:
        assert all(pool.map(call, range(CALLS)))


def test_p24_calls_on_streams_do_not_cross(caller: Caller) -> None:
    def call(number: int) -> bool:
        nonce = secrets.token_hex(8)
        content = tool_call("echo", {"message": nonce}, "same")
        send = caller.modern if number % 2 else caller.post
        return send("open", content, key="alice" if number % 3 else "carol").text == nonce

    with ThreadPoolExecutor(10) as pool:
        assert all(pool.map(call, range(100)))


def _stolen(caller: Caller, owner: LegacySession, key: str, namespace: str) -> None:
    attempts = [
        lambda: caller.post(namespace, tool_call(), owner.headers, key=key),
        lambda: caller.post(namespace, {"jsonrpc": "2.0", "id": 1, "result": {}}, owner.headers, key=key),
        lambda: caller.post(namespace, {"jsonrpc": "2.0", "method": "notifications/cancelled"}, owner.headers, key=key),
        lambda: caller.send(
            f"/mcp/{namespace}", headers=owner.headers | {"Accept": "text/event-stream"}, method="GET", key=key
        ),
        lambda: caller.send(f"/mcp/{namespace}", headers=owner.headers, method="DELETE", key=key),
    ]
    for attempt in attempts:
        answer = attempt()
        expect_refused(answer, [404], [-32600])
        assert answer.reason in ("session_unknown", "namespace_unknown")


def test_p24_a_stolen_session_id_is_worth_nothing(caller: Caller) -> None:
    owner = caller.initialize("open")
    caller.forget("sdk")
    for key, namespace in (("carol", "open"), ("bob", "open"), ("alice", "denied"), ("alice", "echo"), ("bob", "echo")):
        _stolen(caller, owner, key, namespace)
    assert caller.seen("sdk")["requests"] == []
    assert caller.post("open", tool_call(), owner.headers).text == "hello"


def test_p24_bare_calls_of_two_keys_share_no_upstream_session(caller: Caller) -> None:
    assert caller.post("h-ok", tool_call(), key="alice").status == 200
    caller.forget("hostile")
    for key in ("alice", "carol", "alice", "carol"):
        assert caller.post("h-ok", tool_call(), key=key).status == 200
    opened = [seen for seen in caller.seen("hostile")["requests"] if seen["rpc_method"] == "initialize"]
    assert len(opened) <= 1, "alice had a session already; carol needs one of her own, once"


def test_p24_what_a_key_may_not_see_is_not_listed(caller: Caller) -> None:
    assert caller.post("echo", message("tools/list"), key="bob").status == 200
    for namespace in ("open", "listed", "disabled", "nothing"):
        expect_refused(caller.post(namespace, message("tools/list"), key="bob"), [404], [-32600])
