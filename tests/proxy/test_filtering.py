"""Filtering: what stays keeps its bytes, its order and every member that we do not know."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespaces.rules import NameRule, RuleSet
from proxy import filtering
from proxy.errors import UpstreamFailed
from proxy.jsonrpc import read_answer
from proxy.policy import Catalogue, View

# Spellings that a reader and writer would change.
SPELLINGS = [
    b"1.50",
    b"1E2",
    b"-0",
    b"1e400",
    b"12345678901234567890123",
    b'"\\u00e9\\/"',
    b'"\xc5\xbc"',
    b"null",
    b"[ 1 ,2 ]",
]
SPELLINGS += [b'{ "b" : 1, "a":{} }', b'""', b"true", b'"\\ud83d\\udc22"']
spellings = st.sampled_from(SPELLINGS)
names = st.sampled_from(["echo", "add", "test_a", "test_b", "", " ", "ż", "add ", "Echo"])
patterns = st.lists(st.sampled_from(["echo", "add", "test_*", "?cho", "*", "ż", "e*o"]), max_size=3)
rules = st.builds(NameRule.build, st.sampled_from(["all", "listed", "none", "junk"]), patterns, patterns)
keys = st.sampled_from(["title", "_meta", "x", "annotations", "inputSchema"])
blanks = st.sampled_from([b"", b" ", b"\n  "])


def _object(members: list[tuple[str, bytes]], blank: bytes) -> bytes:
    inner = (b"," + blank).join(json.dumps(name).encode() + b":" + blank + value for name, value in members)
    return b"{" + blank + inner + blank + b"}"


@st.composite
def entries(draw: st.DrawFn) -> bytes:
    """One entry of a list, as bytes: usually an object with a name."""
    if draw(st.integers(0, 9)) == 0:
        return draw(spellings)
    members = {name: draw(spellings) for name in draw(st.lists(keys, unique=True, max_size=3))}
    kind = draw(st.integers(0, 9))
    if kind > 0:
        members["name"] = json.dumps(draw(names)).encode() if kind > 1 else draw(spellings)
    return _object(draw(st.permutations(list(members.items()))), draw(blanks))


def _name_of(entry: bytes) -> str | None:
    value = json.loads(entry)
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


@given(
    st.lists(entries(), max_size=6),
    rules,
    rules,
    st.lists(st.tuples(keys, spellings), unique_by=lambda pair: pair[0]),
    blanks,
)
def test_a_filtered_list_holds_the_allowed_entries_byte_for_byte(
    found: list[bytes], own: NameRule, granted: NameRule, others: list[tuple[str, bytes]], blank: bytes
) -> None:
    view = View(RuleSet(tools=own), RuleSet(tools=granted), Catalogue())
    result = _object(
        [*others, ("tools", b"[" + (b"," + blank).join(found) + b"]"), ("nextCursor", b'"c\\u0041"')], blank
    )
    body = _object([("id", b"7"), ("result", result), ("jsonrpc", b'"2.0"')], blank)
    filtered = filtering.apply(view, "tools/list", body, json.loads(result), 2000)
    message = msgspec.json.decode(filtered, type=dict[str, msgspec.Raw])
    members = msgspec.json.decode(message["result"], type=dict[str, msgspec.Raw])
    allowed = [
        entry for entry in found if (name := _name_of(entry)) is not None and own.allows(name) and granted.allows(name)
    ]
    kept = msgspec.json.decode(members["tools"], type=list[msgspec.Raw])
    assert [bytes(entry) for entry in kept] == allowed
    assert [(name, bytes(value)) for name, value in members.items() if name != "tools"] == [
        *others,
        ("nextCursor", b'"c\\u0041"'),
    ]
    assert [(name, bytes(value)) for name, value in message.items() if name != "result"] == [
        ("id", b"7"),
        ("jsonrpc", b'"2.0"'),
    ]


@given(rules, names)
def test_lists_and_calls_are_decided_alike(rule: NameRule, name: str) -> None:
    view = View(RuleSet(tools=rule), None, Catalogue())
    entry = json.dumps({"name": name})
    body = f'{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{entry}]}}}}'.encode()
    shown = json.loads(filtering.apply(view, "tools/list", body, {"tools": [{"name": name}]}, 0))["result"]["tools"]
    assert bool(shown) == view.allows("tool", name)


@given(st.sampled_from(["public", "private"]), st.integers(-5, 10**9))
def test_a_filtered_list_is_private_and_short_lived(scope: str, ttl: int) -> None:
    view = View(RuleSet(tools=NameRule.build("listed", ["a"], [])), None, Catalogue())
    result: dict[str, Any] = {"tools": [], "cacheScope": scope, "ttlMs": ttl}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
    filtered = json.loads(filtering.apply(view, "tools/list", body, result, 2000))["result"]
    assert filtered == {"tools": [], "cacheScope": "private", "ttlMs": min(max(ttl, 0), 2000)}


def test_what_is_no_list_becomes_none() -> None:
    view = View(RuleSet(tools=NameRule.build("listed", ["a"], [])), None, Catalogue())
    for odd in ({"a": {"name": "b"}}, "secret", None, 7):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": odd}}).encode()
        assert b"secret" not in filtering.apply(view, "tools/list", body, {"tools": odd}, 0)


identifiers = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.integers(-(2**70), 2**70)


@given(identifiers, st.lists(st.tuples(keys, spellings), unique_by=lambda pair: pair[0]), blanks)
def test_another_id_changes_nothing_else(identifier: str | int, others: list[tuple[str, bytes]], blank: bytes) -> None:
    params = _object(others, blank)
    body = _object([("jsonrpc", b'"2.0"'), ("id", b"1"), ("method", b'"x"'), ("params", params)], blank)
    changed = filtering.with_id(body, identifier)
    assert json.loads(changed)["id"] == identifier and params in changed


@given(identifiers, st.lists(st.tuples(keys, spellings), unique_by=lambda pair: pair[0]), st.booleans())
def test_meta_is_laid_over_the_callers_own(
    identifier: str | int, others: list[tuple[str, bytes]], has_meta: bool
) -> None:
    others = [(name, value) for name, value in others if name != "_meta"]
    members = [*others, ("_meta", b'{"progressToken": 1.50,"v":"old"}')] if has_meta else others
    body = _object([("jsonrpc", b'"2.0"'), ("id", b"1"), ("method", b'"x"'), ("params", _object(members, b" "))], b"")
    changed = filtering.with_params(body, identifier, {"v": "new"})
    read = msgspec.json.decode(changed, type=dict[str, msgspec.Raw])
    params = msgspec.json.decode(read["params"], type=dict[str, msgspec.Raw])
    assert [(name, bytes(value)) for name, value in params.items() if name != "_meta"] == others
    assert bytes(params["_meta"]) == (b'{"progressToken":1.50,"v":"new"}' if has_meta else b'{"v":"new"}')
    assert json.loads(changed)["id"] == identifier


@pytest.mark.parametrize(
    "text",
    [
        rb"\ud83d cut",
        rb"\uDC22\uD83D",
        rb"\ud83d\ud83d\udc22",
        rb"\\ud83d \\\ud83d \ud83d\\udc22",
        rb"\ue000 \ud83d " + "\ue001".encode(),
        rb"\ud83d\u0041\ud83e",
    ],
)
def test_half_a_surrogate_pair_passes_as_it_came(text: bytes) -> None:
    """JavaScript servers write them; they pass in a filtered list and under an id that is not the upstream's."""
    entry = b'{"name":"echo","description":"' + text + b'","' + text + b'":1.50}'
    other = b'{"name":"hidden ' + text + b'"}'
    result = b'{"tools":[' + other + b"," + entry + b'],"x":1E2}'
    body = b'{"jsonrpc":"2.0","id":1,"result":' + result + b"}"
    view = View(RuleSet(tools=NameRule.build("listed", ["echo"], [])), None, Catalogue())
    filtered = filtering.apply(view, "tools/list", body, read_answer(body)["result"], 1000)
    assert filtered == b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + entry + b'],"x":1E2}}'
    assert filtering.with_id(body, "a") == body.replace(b'"id":1', b'"id":"a"')
    assert filtering.result_bytes(body) == result


def test_more_half_pairs_than_can_be_kept_apart_are_no_answer() -> None:
    halves = b"".join(b"\\u%04x" % code for code in range(0xDC00, 0xE000))
    body = b'{"jsonrpc":"2.0","id":1,"result":"' + halves + "".join(map(chr, range(0xE000, 0xF900))).encode() + b'"}'
    with pytest.raises(UpstreamFailed):
        filtering.with_id(body, "a")


def test_capabilities_that_are_none_are_left_out() -> None:
    view = View(RuleSet(tools=NameRule.build("none", [], [])), None, Catalogue())
    for capabilities in ([], None, "tools", 1):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"capabilities": capabilities, "x": 1}}).encode()
        filtered = filtering.apply(view, "initialize", body, read_answer(body)["result"], 1000)
        assert json.loads(filtered)["result"] == {"x": 1}


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(chr, range(0xE000, 0xF8FF))).encode() * 200,  # every stand-in but one is taken
        rb"\ud83d\udc22" * 300_000,
        b"\\" * 4_000_000,
        rb"\ud83d" * 600_000,
    ],
    ids=["characters that are taken", "pairs", "backslashes", "half pairs"],
)
def test_no_text_makes_half_pairs_costly(text: bytes) -> None:
    """The event loop waits for it: megabytes of whatever takes longest, and one half pair behind them."""
    body = b'{"jsonrpc":"2.0","id":1,"result":"' + text + rb'\ud83d"}'
    begun = time.process_time()
    with contextlib.suppress(UpstreamFailed):
        assert filtering.with_id(body, "a") == body.replace(b'"id":1', b'"id":"a"')
    assert time.process_time() - begun < 1
