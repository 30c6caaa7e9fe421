"""The strict reader, held against the standard library's, and ten thousand broken bodies against the live server."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.errors import Invalid
from proxy.jsonrpc import parse, read_json
from tests.proxy.plane import BOTH, KEYS, LEGACY, META, MODERN, Caller, message, tool_call
from tests.proxy.wire import Connection, request

BODIES_PER_SEED = 2000
scalars = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
fragments = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b'"',
        b'"a"',
        b'"b"',
        b"1",
        b"-",
        b"0",
        b".",
        b"e",
        b"E",
        b"+",
        b"null",
        b"true",
    ]
    + [
        b"\\",
        b"\\u0061",
        b"\\ud83d\\udc22",
        b"NaN",
        b"Infinity",
        b" ",
        b"\n",
        b"\t",
        b"\0",
        b"\xff",
        b"\xc5\xbc",
        b"\xef\xbb\xbf",
    ]
    + [b'"a":1', b'{"a":1,"a":2}', b"//", b"'a'", b"01", b"1e400", b"\x0b", b"\xc2\xa0", b"\xc0\x80"]
)


def by_the_standard_library(body: bytes) -> Any:
    """Read a JSON text with the standard library, as strictly as it can be made."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(body.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)


def _agree(body: bytes) -> None:
    try:
        expected = by_the_standard_library(body)
        json.dumps(expected, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # A lone surrogate: the one thing that only our reader refuses.
        with pytest.raises(ValueError):
            read_json(body)
        return
    except (ValueError, RecursionError):
        with pytest.raises(ValueError):
            read_json(body)
        return
    found = read_json(body)
    assert found == expected and repr(found) == repr(expected)


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_both_readers_agree_on_json(value: Any, is_ascii: bool, indent: int | None) -> None:
    _agree(json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode("utf-8", "surrogatepass"))


@settings(max_examples=1500)
@given(st.lists(fragments, max_size=12).map(b"".join))
@example(b'{"a":1,"\\u0061":2}')
@example(b'"\\ud800"')
@example(b'{"a":[{"b":1},{"b":1}]}')
@example(b"1e400")
@example(b"-0")
@example(b'\xef\xbb\xbf{"a":1}')
def test_both_readers_agree_on_what_is_nearly_json(body: bytes) -> None:
    _agree(body)


@given(values, st.data())
def test_both_readers_agree_on_json_with_a_byte_changed(value: Any, data: st.DataObject) -> None:
    body = bytearray(json.dumps(value).encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    _agree(bytes(body))


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_a_message_is_read_or_refused_and_nothing_else(body: bytes) -> None:
    try:
        read = parse(body, 64)
    except Invalid as error:
        assert 400 <= error.status < 500 or error.status == 200
        return
    assert read.body == body and read.kind in ("request", "notification", "response")


@pytest.mark.parametrize("depth", [63, 64, 65, 150, 250])
@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")])
def test_depth_is_counted_exactly(depth: int, pair: tuple[str, str]) -> None:
    inner = pair[0] * (depth - 2) + "1" + pair[1] * (depth - 2)
    body = f'{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{inner}}}}}'.encode()
    if depth <= 64:
        parse(body, 64)
    else:
        with pytest.raises(Invalid) as caught:
            parse(body, 64)
        assert caught.value.reason in ("json_too_deep", "json_invalid")


def originals() -> list[tuple[bytes, dict[str, str]]]:
    """Good requests of every kind, with the headers that belong to them."""
    legacy = {"MCP-Protocol-Version": LEGACY}
    modern_call = tool_call("echo", {"message": "x", "deep": {"list": [1, 2.5, None, "ż"]}})
    modern_call["params"]["_meta"] = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}}
    modern = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "echo"}
    plain: list[tuple[dict[str, Any], dict[str, str]]] = [
        (tool_call(), {}),
        (tool_call(identifier="an id"), legacy),
        (modern_call, modern),
        (message("tools/list", {"cursor": "c"}), {}),
        (message("prompts/get", {"name": "p", "arguments": {"a": "b"}}), {}),
        (message("resources/read", {"uri": "test://x"}), legacy),
        (
            message(
                "completion/complete",
                {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "b"}},
            ),
            {},
        ),
        (
            message(
                "initialize",
                {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
            ),
            {},
        ),
        ({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "x"}}, legacy),
        ({"jsonrpc": "2.0", "id": 5, "result": {"action": "accept", "content": {"a": 1}}}, legacy),
        ({"jsonrpc": "2.0", "id": "5", "error": {"code": -1, "message": "no"}}, legacy),
    ]
    return [(json.dumps(content).encode(), headers) for content, headers in plain]


def mutated(body: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return a body with one to three bits flipped, parts cut out, doubled, or spliced in from another request."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(changed) + 1)
        end = min(len(changed), start + chance.randint(1, 12))
        what = chance.randrange(5)
        if what == 0 and start < len(changed):
            changed[start] ^= 1 << chance.randrange(8)
        elif what == 1:
            del changed[start:end]
        elif what == 2:
            changed[start:start] = changed[start:end]
        elif what == 3:
            other = chance.choice(others)
            cut = chance.randrange(len(other))
            changed[start:end] = other[cut : cut + chance.randint(1, 40)]
        else:
            changed[start:end] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
    return bytes(changed)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_p3_no_mutated_body_makes_a_500(caller: Caller, seed: int) -> None:
    chance = random.Random(seed)
    kinds = originals()
    others = [body for body, _ in kinds]
    found: Counter[int] = Counter()
    connection = Connection(caller.port)
    for number in range(BODIES_PER_SEED):
        body, headers = chance.choice(kinds)
        body = mutated(body, others, chance)
        namespace = chance.choice(["echo", "listed", "denied"])
        sent = {"Content-Type": "application/json", "Accept": BOTH, "X-API-Key": KEYS["alice"]} | headers
        connection.send(request(f"/mcp/{namespace}", body, list(sent.items()), length=len(body)))
        answer = connection.read()
        assert answer is not None, f"body {number} closed the connection: {body!r}"
        found[answer.status] += 1
        assert answer.status in {200, 202, 400, 404, 405, 406, 413, 415, 502, 503, 504}, (body, answer)
        if answer.status != 202:
            assert answer.message["jsonrpc"] == "2.0", (body, answer)
        if answer.header("connection") == "close":
            connection.close()
            connection = Connection(caller.port)
    connection.close()
    assert found[400] > BODIES_PER_SEED // 3 and found[200] > 10, found
    assert caller.post("echo", tool_call()).text == '{"message": "hello"}'
