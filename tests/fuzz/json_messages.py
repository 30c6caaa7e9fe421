"""The strict reading of JSON-RPC messages: held against the standard library's, made as strict as it can be."""

from __future__ import annotations

import json
from typing import Any

from proxy.errors import Invalid
from proxy.jsonrpc import parse, read_answer, read_json

DEPTH = 64
SEEDS = [
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,2.5,null,true]}}}',
    b'{"jsonrpc":"2.0","id":"a","method":"resources/read","params":{"uri":"test://x","_meta":{"progressToken":7}}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"\\u017c\\ud83d\\udc22"}}',
    b'{"jsonrpc":"2.0","id":5,"result":{"action":"accept","content":{"a":-1e-7}}}',
    b'{"jsonrpc":"2.0","id":"5","error":{"code":-32603,"message":"no","data":[[[[{"a":{}}]]]]}}',
    b'{"jsonrpc":"2.0","id":1,"Method":"ping","method":"ping"}',
    b'{"a":"\\ud800","b":' + b"[" * 300,
    b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
    b'{"a":1,"\\u0061":2}',
    b"\xef\xbb\xbf{}",
    b"[NaN,Infinity,1e400,-0,12345678901234567890]",
]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _by_the_standard_library(body: bytes) -> tuple[bool, Any]:
    """Return whether the body is JSON without a key twice and without a lone surrogate, and its value."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False, None
    return True, value


def _deep(body: bytes) -> bool:
    """Return whether the body may nest deeper than the reader goes (about 200 levels)."""
    return body.count(b"[") + body.count(b"{") > 190


def check(data: bytes) -> None:
    """Read `data` as a client's message and as an upstream's answer."""
    good, expected = _by_the_standard_library(data)
    try:
        found = read_json(data)
    except ValueError:
        assert not good or _deep(data), "refused what is JSON"
    else:
        assert good and repr(found) == repr(expected), "read otherwise than by the standard library"
    try:
        message = parse(data, DEPTH)
    except Invalid as error:
        assert error.status == 200 or 400 <= error.status < 500
        assert error.reason and "Traceback" not in error.message
    else:
        assert good and message.body is data and isinstance(expected, dict)
        assert message.method == expected.get("method", "") and message.id == expected.get("id")
        assert type(message.id) in (str, int, type(None))
        assert {key for key in expected if key.casefold() == "method"} <= {"method"}
        assert {key for key in message.params if key.casefold() in ("name", "uri")} <= {"name", "uri"}
    try:
        answer = read_answer(data)
    except (ValueError, RecursionError):
        return
    json.dumps(answer)
