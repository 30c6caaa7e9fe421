"""One shape for every error under /mcp, and one page that explains every reason code."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.plane import KEYS, LEGACY, Caller, message, tool_call
from tests.proxy.wire import Answer

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
CALLS_WITH_A_REASON = {"EgressError": 0, "StreamEnded": 0, "ClientGone": 0, "end_standing": 0, "conclude": 2}


def documented() -> dict[str, tuple[str, str]]:
    """Return the second and third column of docs/errors.md by reason."""
    return {match[1]: (match[2], match[3]) for match in ROW.finditer((ROOT / "docs" / "errors.md").read_text())}


def _numbers(text: str) -> set[int]:
    """Return the numbers in a cell; `400–416` stands for all between."""
    found = {int(part) for part in re.findall(r"-?\d+", text.replace("–", " "))}
    for low, high in re.findall(r"(\d+)–(\d+)", text):
        found |= set(range(int(low), int(high) + 1))
    return found


def _reasons_in(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.keyword) and node.arg == "reason":
        yield node.value
    elif isinstance(node, ast.Assign):
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if "reason" in names:
            yield node.value
        elif "problem" in names and isinstance(node.value, ast.Tuple):
            yield node.value.elts[0]
        elif "REASONS" in names and isinstance(node.value, ast.Dict):
            yield from node.value.values
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        position = CALLS_WITH_A_REASON.get(name)
        if position is not None and len(node.args) > position:
            yield node.args[position]


def used() -> set[str]:
    """Return every reason code that the data plane's source names."""
    found = set()
    for path in [*(ROOT / "proxy").rglob("*.py"), ROOT / "namespaces" / "egress.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            for value in _reasons_in(node):
                found |= {
                    part.value
                    for part in ast.walk(value)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return found


def test_every_reason_is_explained_and_no_other() -> None:
    assert used() - {"allow_list_invalid"} == documented().keys()


def _modern(caller: Caller, **headers: str) -> Answer:
    return caller.modern("open", tool_call(), headers)


def _raw(caller: Caller, body: str) -> Answer:
    return caller.post("echo", body.encode())


CASES: dict[str, Callable[[Caller], Answer]] = {
    "credential_missing": lambda c: c.post("echo", tool_call(), key=None),
    "credential_ambiguous": lambda c: c.post("echo", tool_call(), {"X-API-Key": KEYS["bob"]}),
    "credential_unknown": lambda c: c.post("echo", tool_call(), {"X-API-Key": "wrong"}, key=None),
    "key_revoked": lambda c: c.post("echo", tool_call(), key="revoked"),
    "key_expired": lambda c: c.post("echo", tool_call(), key="expired"),
    "credential_in_url": lambda c: c.send("/mcp/echo?api_key=x", b"{}"),
    "origin_forbidden": lambda c: c.post("echo", tool_call(), {"Origin": "https://evil.example"}),
    "namespace_unknown": lambda c: c.post("nothing", tool_call()),
    "session_unknown": lambda c: c.post("echo", tool_call(), {"Mcp-Session-Id": "x"}),
    "event_id_unknown": lambda c: c.send("/mcp/open", headers={"Last-Event-ID": "1"}, method="GET"),
    "rate_limited_key": lambda c: c.post("echo", tool_call(), key="stopped"),
    "verb_unknown": lambda c: c.send("/mcp/echo", method="PUT"),
    "query_invalid": lambda c: c.send("/mcp/echo?" + "a=1&" * 200, b"{}"),
    "content_type": lambda c: c.post("echo", tool_call(), {"Content-Type": "text/plain"}),
    "content_encoding": lambda c: c.post("echo", tool_call(), {"Content-Encoding": "gzip"}),
    "accept": lambda c: c.post("echo", tool_call(), {"Accept": "text/html"}),
    "body_too_large": lambda c: c.post("echo", b"x" * ((4 << 20) + 1)),
    "header_repeated": lambda c: c.post("echo", tool_call(), {"Mcp-Name": "a", "mcp-name": "a"}),
    "header_invalid": lambda c: _modern(c, **{"Mcp-Name": "=?base64?!?="}),
    "header_mismatch": lambda c: _modern(c, **{"Mcp-Name": "add"}),
    "version_invalid": lambda c: c.post("echo", tool_call(), {"MCP-Protocol-Version": "x" * 65}),
    "meta_missing": lambda c: c.post("echo", tool_call(), {"MCP-Protocol-Version": "2026-07-28"}),
    "json_invalid": lambda c: _raw(c, "{"),
    "json_too_deep": lambda c: _raw(c, '{"a":' + "[" * 80 + "]" * 80 + "}"),
    "key_duplicate": lambda c: _raw(c, '{"a":1,"a":2}'),
    "key_variant": lambda c: _raw(c, '{"jsonrpc":"2.0","ID":1}'),
    "batch": lambda c: _raw(c, "[1]"),
    "message_invalid": lambda c: _raw(c, "{}"),
    "id_invalid": lambda c: c.post("echo", tool_call(identifier=1.5)),
    "id_missing": lambda c: _raw(c, '{"jsonrpc":"2.0","method":"tools/call"}'),
    "method_invalid": lambda c: c.post("echo", message(1)),  # type: ignore[arg-type]
    "method_unknown": lambda c: c.post("echo", message("Tools/Call")),
    "params_invalid": lambda c: c.post("echo", message("tools/call", [])),
    "upstream_missing": lambda c: c.post("unmounted", tool_call()),
    "upstream_unreachable": lambda c: c.post("dead", tool_call(), {"MCP-Protocol-Version": LEGACY}),
    "upstream_unauthorized": lambda c: c.post("h-status-401", tool_call()),
    "upstream_initialize": lambda c: c.post("all-sse-endpoint", tool_call()),
    "first_byte_timeout": lambda c: c.post("h-hang", tool_call()),
    "idle_timeout": lambda c: c.post("h-hang-after-head", tool_call()),
    "total_timeout": lambda c: c.post("h-sse-comments", tool_call(), {"Accept": "application/json"}),
    "upstream_closed": lambda c: c.post("h-close", tool_call()),
    "upstream_broken": lambda c: c.post("h-http09", tool_call()),
    "upstream_redirect": lambda c: c.post("h-redirect-302", tool_call()),
    "upstream_encoding": lambda c: c.post("h-gzip-unasked", tool_call()),
    "upstream_status": lambda c: c.send("/mcp/echo", headers={"Accept": "text/event-stream"}, method="GET"),
    "answer_missing": lambda c: c.post("h-status-204", tool_call()),
    "answer_id": lambda c: c.post("h-wrong-id", tool_call()),
    "answer_invalid": lambda c: c.post("h-invalid", tool_call()),
    "answer_type": lambda c: c.post("h-html", tool_call()),
    "answer_too_large": lambda c: c.post("h-huge", tool_call()),
    "list_failed": lambda c: c.post("unlistable", tool_call("unlisted")),
}


@pytest.mark.parametrize("reason", CASES)
def test_an_error_has_the_one_shape(caller: Caller, reason: str) -> None:
    answer = CASES[reason](caller)
    assert answer.reason == reason, answer
    statuses, codes = documented()[reason]
    assert answer.status in _numbers(statuses) and answer.code in _numbers(codes)
    assert answer.header("content-type") == "application/json"
    document: dict[str, Any] = answer.json
    assert list(document) == ["jsonrpc", "id", "error"] and document["jsonrpc"] == "2.0"
    assert document["id"] in (1, None) and list(document["error"]) == ["code", "message", "data"]
    assert document["error"]["message"] and "\n" not in document["error"]["message"]
    assert document["error"]["data"]["requestId"] == answer.header("x-request-id")
    assert float(answer.header("x-response-time-ms") or -1) >= 0
    for secret in KEYS.values():
        assert secret.encode() not in answer.body


@pytest.mark.parametrize("namespace", ["listed", "denied"])
def test_a_hidden_name_is_answered_without_a_reason(caller: Caller, namespace: str) -> None:
    answer = caller.post(namespace, tool_call("add"))
    assert json.loads(answer.body) == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32602, "message": "Unknown tool: add"},
    }


def test_an_error_after_the_stream_began_is_its_last_event(caller: Caller) -> None:
    answer = caller.post("h-close-mid-sse", tool_call(), {"Accept": "text/event-stream"})
    assert answer.status == 200 and answer.header("content-type") == "text/event-stream"
    assert answer.code == -32603 and answer.reason in ("answer_missing", "upstream_closed", "upstream_broken")
