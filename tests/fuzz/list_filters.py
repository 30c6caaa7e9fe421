"""The list filters: whatever an upstream's answer holds, no hidden name is left in it, and none is an exception."""

from __future__ import annotations

import json
from typing import Any

from namespaces.rules import NameRule, RuleSet
from proxy import filtering
from proxy.errors import Invalid, UpstreamFailed
from proxy.jsonrpc import parse, read_answer
from proxy.policy import Catalogue, View
from proxy.response import is_response

LISTED = NameRule.build("listed", ["echo", "test_*"], ["test_secret"])
NONE = NameRule.build("none", [], [])
ALL = NameRule.build("all", [], [])
VIEWS = [
    View(RuleSet(LISTED, LISTED, LISTED), None, Catalogue()),
    View(RuleSet(NONE, NONE, NONE), None, Catalogue()),
    View(RuleSet(ALL, NONE, LISTED), RuleSet(LISTED, ALL, ALL), Catalogue()),
]
METHODS = [*filtering.LISTS, "initialize", "server/discover"]
TTL_MS = 2000


def _answer(result: dict[str, Any], identifier: Any = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": identifier, "result": result}).encode()


_ENTRIES = [{"name": "echo", "uri": "echo"}, {"name": "hidden", "uri": "hidden"}, {"name": "test_secret"}, 7, None]
SEEDS = [
    b"\x00\x00" + _answer({"tools": _ENTRIES, "nextCursor": "c", "ttlMs": 99999, "cacheScope": "public"}),
    b"\x01\x00" + _answer({"tools": {"echo": {}}}),
    b"\x00\x01" + _answer({"prompts": _ENTRIES}, "id"),
    b"\x02\x02" + _answer({"resources": [{"uri": "test_1", "name": "n", "x": [1e300, {"uri": "u"}]}]}),
    b"\x02\x03" + _answer({"resourceTemplates": [{"uriTemplate": "test_{a}"}]}),
    b"\x01\x04" + _answer({"capabilities": {"tools": {}, "prompts": {}, "completions": {}}, "protocolVersion": "x"}),
    b"\x00\x05" + _answer({"capabilities": [], "ttlMs": True}),
    b'\x00\x00{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","\\ud800":1},{"name":"\\ud800"}]}}',
    b'\x00\x00{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":null}}',
    b'\x00\x00{"jsonrpc":"2.0","id":1,"method":"ping"}',
    b'\x00\x00{"jsonrpc":"2.0","id":1,"\\ud800":1,"result":{"\\udfff":1,"tools":[]}}',
]


def check(data: bytes) -> None:
    """The first two bytes choose view and method; the others are the upstream's answer."""
    if len(data) < 3:
        return
    view, method, body = VIEWS[data[0] % len(VIEWS)], METHODS[data[1] % len(METHODS)], data[2:]
    try:
        value = read_answer(body)
    except (ValueError, RecursionError):
        return
    _rename(body)
    if not is_response(value):
        return
    renamed = _attempt(lambda: filtering.with_id(body, "new"))
    assert renamed is None or repr(read_answer(renamed)) == repr(value | {"id": "new"})
    result = value.get("result")
    if not isinstance(result, dict) or not filtering.changes(view, method):
        return
    if (filtered := _attempt(lambda: filtering.apply(view, method, body, result, TTL_MS))) is None:
        return
    after = read_answer(filtered)
    assert after.get("id") == value.get("id") and after["jsonrpc"] == "2.0"
    _hold(view, method, result, after["result"])


def _rename(body: bytes) -> None:
    """Give a client's request the id and the `_meta` that a bare call gets."""
    try:
        message = parse(body, 64)
    except Invalid:
        return
    if message.kind == "request":
        renamed = json.loads(filtering.with_params(body, 1, {"a": 1}))
        assert renamed["id"] == 1 and renamed["params"]["_meta"] == message.meta | {"a": 1}


def _attempt(work: Any) -> bytes | None:
    """Return what the work returns; None where it says that the upstream's answer is to blame."""
    try:
        return bytes(work())
    except UpstreamFailed:
        return None


def _hold(view: View, method: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    if method not in filtering.LISTS:
        capabilities = after.get("capabilities")
        if isinstance(capabilities, dict):
            assert not (view.hides_all("tool") and "tools" in capabilities)
        return
    member, kind, name_in = filtering.LISTS[method]
    listed = after.get(member, [])
    assert isinstance(listed, list)
    assert all(view.allows(kind, entry[name_in]) for entry in listed)
    original = before.get(member)
    if isinstance(original, list):
        allowed = [
            entry
            for entry in original
            if isinstance(entry, dict) and isinstance(entry.get(name_in), str) and view.allows(kind, entry[name_in])
        ]
        assert repr(listed) == repr(allowed), "an allowed entry was lost or changed"
    if isinstance(before.get("ttlMs"), int):
        assert 0 <= after["ttlMs"] <= TTL_MS
