"""The one strict reading of JSON (cases J1 to J12), seen from outside: what is refused, what goes on byte for byte."""

from __future__ import annotations

import json
import time

import pytest

from tests.gateway import wait_for
from tests.proxy.plane import Caller, expect_refused, message, tool_call

PARSE, INVALID = -32700, -32600
GOOD = json.dumps(tool_call()).encode()


def with_arguments(raw: bytes) -> bytes:
    """Return a tools/call whose arguments are these bytes."""
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":' + raw + b"}}"


def _refused(caller: Caller, body: bytes, *codes: int) -> str | None:
    before = caller.count()["calls"]
    begun = time.monotonic()
    answer = caller.post("echo", body)
    expect_refused(answer, [400], codes)
    assert time.monotonic() - begun < 1
    assert caller.count()["calls"] == before, "a call reached the upstream"
    return answer.reason


@pytest.mark.parametrize(
    "body",
    [b"", b"  \r\n\t ", GOOD[:-1], GOOD[:-1] + b",}", b"/* c */" + GOOD, GOOD + b"// c", b"{'jsonrpc':'2.0'}"]
    + [GOOD + GOOD, GOOD + b"\n" + GOOD, b"{", b'{"a"', b"tru", b'"abc', b"{,}", b"[1,]"],
)
def test_j1_what_is_no_json(caller: Caller, body: bytes) -> None:
    assert _refused(caller, body, PARSE) == "json_invalid"


@pytest.mark.parametrize("body", [b"42", b"null", b'"text"', b"true", b"[]", b"{}"])
def test_j2_what_is_no_message(caller: Caller, body: bytes) -> None:
    assert _refused(caller, body, INVALID) == "message_invalid"


@pytest.mark.parametrize("count", [1, 2, 10_000])
def test_j3_a_batch(caller: Caller, count: int) -> None:
    assert _refused(caller, b"[" + b",".join([GOOD] * count) + b"]", INVALID) == "batch"


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, with_arguments(b'{"a":' * 100 + b"1" + b"}" * 100)]
    + [with_arguments(b"[" * 63 + b"]" * 63)],
)
def test_j4_depth(caller: Caller, body: bytes) -> None:
    assert _refused(caller, body, PARSE, INVALID) in ("json_invalid", "json_too_deep")


def test_j4_depth_within_the_limit(caller: Caller) -> None:
    body = with_arguments(b'{"a":' + b"[" * 61 + b"]" * 61 + b"}")
    assert caller.post("echo", body).status == 200


@pytest.mark.parametrize("raw", [b"9" * 6000, b"-" + b"9" * 4301])
def test_j5_a_huge_integer_is_refused_or_goes_on_as_it_came(caller: Caller, raw: bytes) -> None:
    caller.forget("sdk")
    answer = caller.post(
        "open", with_arguments(b'{"message":"x","n":' + raw + b"}"), {"MCP-Protocol-Version": "2025-11-25"}
    )
    assert answer.status in (200, 400), answer
    if requests := caller.seen("sdk")["requests"]:
        assert raw.decode() in requests[-1]["body"]


@pytest.mark.parametrize("raw", [b"NaN", b"Infinity", b"-Infinity", b"+1", b"01", b".5", b"1.", b"0x1", b"1e"])
def test_j6_numbers_that_json_does_not_know(caller: Caller, raw: bytes) -> None:
    assert _refused(caller, with_arguments(b'{"n":' + raw + b"}"), PARSE) == "json_invalid"


@pytest.mark.parametrize("raw", [b"1e400", b"-1e400", b"9007199254740993", b"-0", b"1E2", b"0.1000", b"1.0"])
@pytest.mark.parametrize("namespace", ["open", "denied"])
def test_j7_numbers_that_readers_change_go_on_as_they_came(caller: Caller, namespace: str, raw: bytes) -> None:
    caller.forget("sdk")
    body = with_arguments(b'{"message":"x", "n":' + raw + b"}")
    answer = caller.post(namespace, body)
    if answer.status == 400:
        return
    found = [seen["body"] for seen in caller.seen("sdk")["requests"] if seen["rpc_method"] == "tools/call"]
    assert len(found) == 1 and f'"n":{raw.decode()}}}' in found[0]


@pytest.mark.parametrize(
    "raw", [b"\xff", b"caf\xe9", b"\xc0\xaf", b"\xed\xa0\x80", b"\x00", b"\x1f", b"a\nb", b"\\x41", b"\\u12"]
)
def test_j8_bytes_that_no_text_holds(caller: Caller, raw: bytes) -> None:
    assert _refused(caller, with_arguments(b'{"message":"' + raw + b'"}'), PARSE) == "json_invalid"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"])
def test_j9_other_encodings(caller: Caller, encoding: str) -> None:
    assert _refused(caller, GOOD.decode().encode(encoding), PARSE) == "json_invalid"


@pytest.mark.parametrize("raw", [b"\\ud800", b"\\udc00\\ud800", b"\\u0000", b"\\u0000\\u0000 x"])
def test_j10_text_that_no_database_stores_leaves_a_row_all_the_same(caller: Caller, raw: bytes) -> None:
    mark = f"j10-{raw.hex()}"
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x' + raw + b'","arguments":{}}}'
    answer = caller.post("echo", body, {"X-Request-Id": mark})
    assert answer.status in (200, 400)
    wait_for_row(caller, mark)


def wait_for_row(caller: Caller, request_id: str) -> None:
    """Wait until the request log shows a call."""
    statement = "SELECT outcome FROM analytics_requestlog WHERE request_id = %s"
    wait_for(lambda: caller.gateway.query(statement, request_id), 10, f"no row for {request_id}")


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
    ]
    + ["application/x-www-form-urlencoded", "application/jsonp", "text/json", "", "application/json, text/plain"],
)
def test_j11_content_types(caller: Caller, kind: str) -> None:
    answer = caller.post("echo", GOOD, {"Content-Type": kind})
    expect_refused(answer, [415], [INVALID])
    assert answer.reason == "content_type"


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON", "application/json;charset=UTF-8", 'application/json; charset="utf-8"'],
)
def test_j11_content_types_that_say_json_in_utf_8(caller: Caller, kind: str) -> None:
    assert caller.post("echo", GOOD, {"Content-Type": kind}).status == 200


def test_j11_no_content_type(caller: Caller) -> None:
    expect_refused(caller.post("echo", GOOD, {"Content-Type": None}), [415], [INVALID])  # type: ignore[dict-item]


@pytest.mark.alone
@pytest.mark.parametrize(
    "arguments",
    [
        {f"k{number}": number for number in range(100_000)},
        {"k" * (1 << 20): 1},
        {"k": "v" * (1 << 20)},
        {str(number * (2**61 - 1)): 0 for number in range(20_000)},
    ],
    ids=["many keys", "a key of 1 MiB", "a value of 1 MiB", "integers that collide"],
)
def test_j12_large_objects_are_answered_soon(caller: Caller, arguments: dict[str, int]) -> None:
    begun = time.monotonic()
    answer = caller.post("echo", message("tools/call", {"name": "echo", "arguments": arguments}))
    assert answer.status in (200, 400, 413)
    assert time.monotonic() - begun < 1.5


def test_j12_a_body_over_the_limit(caller: Caller) -> None:
    before = caller.count()["calls"]
    answer = caller.post("echo", with_arguments(b'{"a":"' + b"x" * (4 << 20) + b'"}'))
    expect_refused(answer, [413], [INVALID])
    assert answer.reason == "body_too_large" and caller.count()["calls"] == before


def test_a_bare_call_whose_meta_is_null_is_served(caller: Caller) -> None:
    """Null is what some serialisers write for nothing; in the modern era the gateway puts its own members there."""
    call = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "echo", "_meta": None}}
    for namespace in ("h-ok-modern", "echo"):
        answer = caller.post(namespace, call)
        assert answer.status == 200 and answer.message["id"] == 3 and "result" in answer.message
