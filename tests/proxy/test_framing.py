"""HTTP framing is decided once (cases HF1 to HF17): what two readers could read differently reaches no upstream."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator

import pytest

from tests.gateway import wait_for
from tests.proxy.plane import BOTH, KEYS, Caller, message, tool_call
from tests.proxy.wire import Connection, play, request

PATH = "/mcp/echo"
BODY = json.dumps(tool_call()).encode()
SIZE = len(BODY)
KEY = f"Authorization: Bearer {KEYS['alice']}\r\n"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: {BOTH}\r\n{KEY}"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY)
OUR_HEADERS = [("Content-Type", "application/json"), ("Authorization", f"Bearer {KEYS['alice']}")]


def framed(*lines: str, body: bytes = BODY) -> bytes:
    """Return a request to the echo namespace with these header lines added."""
    return (HEAD + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1") + body


@pytest.fixture
def untouched(caller: Caller) -> Iterator[None]:
    """Fail a test during which a call reached the upstream."""
    before = caller.count()["calls"]
    yield
    assert caller.count()["calls"] == before, "a call reached the upstream"


def statuses(caller: Caller, data: bytes, **options: bool) -> list[int]:
    """Play bytes and return the statuses of the answers until the gateway closes."""
    return [answer.status for answer in play(caller.port, data, **options)]


REFUSED = {
    "HF1 length and chunked": (framed(f"Content-Length: {SIZE}", "Transfer-Encoding: chunked", body=CHUNKED), {400}),
    "HF1 chunked and length": (framed("Transfer-Encoding: chunked", f"Content-Length: {SIZE}", body=CHUNKED), {400}),
    "HF2 two lengths": (framed(f"Content-Length: {SIZE}", "Content-Length: 5"), {400}),
    "HF2 two equal lengths": (framed(f"Content-Length: {SIZE}", f"Content-Length: {SIZE}"), {400}),
    "HF2 a list of lengths": (framed(f"Content-Length: {SIZE}, 5"), {400}),
    "HF3 signed": (framed(f"Content-Length: +{SIZE}"), {400}),
    "HF3 negative": (framed("Content-Length: -1"), {400}),
    "HF3 hexadecimal": (framed("Content-Length: 0x10"), {400}),
    "HF3 thirty digits": (framed("Content-Length: " + "9" * 30), {400, 413}),
    "HF4 unknown coding": (framed("Transfer-Encoding: xchunked", body=CHUNKED), {400, 501}),
    "HF4 chunked twice": (framed("Transfer-Encoding: chunked, chunked", body=CHUNKED), {400, 501}),
    "HF4 chunked in two headers": (
        framed("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=CHUNKED),
        {400, 501},
    ),
    "HF4 gzip, chunked": (framed("Transfer-Encoding: gzip, chunked", body=CHUNKED), {400, 501}),
    "HF4 identity": (framed("Transfer-Encoding: identity", body=CHUNKED), {400, 501}),
    "HF4 size no number": (framed("Transfer-Encoding: chunked", body=b"ZZ\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "HF4 negative size": (framed("Transfer-Encoding: chunked", body=b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "HF4 endless extension": (framed("Transfer-Encoding: chunked", body=b"1;" + b"x" * 100_000), {400}),
    "HF7 blank in a name": (framed(f"Content-Length: {SIZE}", "X Y: z"), {400}),
    "HF7 blank before the colon": (framed(f"Content-Length : {SIZE}"), {400}),
    "HF7 NUL in a value": (framed(f"Content-Length: {SIZE}", "X-A: a\0b"), {400}),
    "HF7 folded line": (framed(f"Content-Length: {SIZE}", "X-A: a\r\n b"), {400}),
    "HF7 bare LF": (framed(f"Content-Length: {SIZE}\nX-B: b"), {400}),
    "HF7 bare CR": (framed(f"Content-Length: {SIZE}", "X-A: a\rX-B: b"), {400}),
    "HF8 vertical tab": (framed(f"Content-Length: {SIZE}", "Mcp-Session-Id: a\x0bb"), {400, 404}),
    "HF9 a header of 40 KiB": (framed(f"Content-Length: {SIZE}", "X-A: " + "a" * 40_960), {431}),
    "HF9 a header of 1 MiB": (framed(f"Content-Length: {SIZE}", "X-A: " + "a" * (1 << 20)), {431}),
    "HF9 two thousand headers": (framed(f"Content-Length: {SIZE}", *(f"X-{n}: {n}" for n in range(2000))), {431}),
    "HF9 five thousand equal headers": (framed(f"Content-Length: {SIZE}", *["X-A: b"] * 5000), {431}),
    "HF9 a hundred and one headers": (framed(f"Content-Length: {SIZE}", *["X-A: b"] * 101), {431}),
    "HF10 foreign host": (framed(f"Content-Length: {SIZE}").replace(b"127.0.0.1", b"evil.example"), {400, 403, 421}),
    "HF10 no host": (framed(f"Content-Length: {SIZE}").replace(b"Host: 127.0.0.1\r\n", b""), {400}),
    "HF11 HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "HF11 TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512), {400}),
    "HF11 garbage": (b"hello world\r\n\r\n", {400}),
    "HF12 websocket": (
        f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n{KEY}Connection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode(),
        {400, 404, 405, 406, 426},
    ),
    "HF13 gzip": (
        framed(f"Content-Length: {len(gzip.compress(BODY))}", "Content-Encoding: gzip", body=gzip.compress(BODY)),
        {415},
    ),
    "HF13 deflate": (framed(f"Content-Length: {SIZE}", "Content-Encoding: deflate"), {415}),
    "HF13 br": (framed(f"Content-Length: {SIZE}", "Content-Encoding: br"), {415}),
    "HF13 bomb": (
        framed("Transfer-Encoding: chunked", "Content-Encoding: gzip", body=b"8\r\n\x1f\x8b\x08aaaaa\r\n0\r\n\r\n"),
        {415},
    ),
    "HF16 two hosts": (framed(f"Content-Length: {SIZE}", "Host: evil.example"), {400}),
    "HF16 two equal hosts": (framed(f"Content-Length: {SIZE}", "Host: 127.0.0.1"), {400}),
    "HF16 HTTP/0.9": (b"GET /mcp/echo\r\n\r\n", {400}),
    "HF16 HTTP/3.9": (framed(f"Content-Length: {SIZE}").replace(b"HTTP/1.1", b"HTTP/3.9"), {400, 505}),
    "HF16 absolute form, other host": (
        framed(f"Content-Length: {SIZE}").replace(b"POST /mcp", b"POST http://evil.example/mcp"),
        {400, 421},
    ),
    "HF16 chunked in HTTP/1.0": (
        framed("Transfer-Encoding: chunked", body=CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0"),
        {400},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_framing_is_refused(caller: Caller, untouched: None, case: str) -> None:
    data, expected = REFUSED[case]
    begun = time.monotonic()
    found = statuses(caller, data)
    assert len(found) <= 1 and set(found) <= expected, found
    assert time.monotonic() - begun < 2


def test_hf5_what_stands_behind_the_length_is_no_part_of_the_body(caller: Caller) -> None:
    before = caller.count()["calls"]
    answers = play(caller.port, framed(f"Content-Length: {SIZE}") + b"GET /smuggled HTTP/1.1\r\nX: ")
    assert [answer.status for answer in answers] == [200]
    assert answers[0].text == '{"message": "hello"}'
    assert caller.count()["calls"] == before + 1


def test_hf5_a_smuggled_second_call_is_not_served_on_the_first_ones_credential(caller: Caller) -> None:
    second = request(PATH, BODY, [("Content-Type", "application/json"), ("Connection", "close")])
    answers = play(caller.port, framed(f"Content-Length: {SIZE}") + second)
    assert [answer.status for answer in answers] in ([200], [200, 401])


def test_hf6_a_short_body_is_no_call(caller: Caller, untouched: None) -> None:
    found = statuses(caller, framed(f"Content-Length: {SIZE + 10}"), half_close=True)
    assert set(found) <= {400, 408}


def test_hf8_odd_bytes_in_a_header_value_are_inert(caller: Caller) -> None:
    for odd in ("\x1c", "\x85", "\xff"):
        found = statuses(caller, framed(f"Content-Length: {SIZE}", f"X-A: a{odd}b", "Connection: close"))
        assert found in ([200], [400])


@pytest.mark.alone
def test_hf14_a_slow_head_is_cut_in_time(caller: Caller) -> None:
    with Connection(caller.port) as connection:
        connection.send(b"POST /mcp/echo HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        begun = time.monotonic()
        for number in range(4):
            time.sleep(0.2)
            connection.send(b"X-%d: y\r\n" % number)
        answer = connection.read()
        assert answer is not None and answer.status == 408
        connection.wait_closed(3)
        assert 1.0 < time.monotonic() - begun < 3.5


def test_hf14_a_silent_connection_is_cut_in_time(caller: Caller) -> None:
    with Connection(caller.port) as connection:
        assert connection.wait_closed(4) < 3.5


@pytest.mark.alone
def test_hf14_a_slow_body_is_cut_in_time(caller: Caller, untouched: None) -> None:
    with Connection(caller.port) as connection:
        begun = time.monotonic()
        connection.send(framed(f"Content-Length: {SIZE}", body=BODY[:10]))
        for byte in BODY[10:14]:
            time.sleep(0.2)
            connection.send(bytes([byte]))
        answer = connection.read()
        assert answer is not None and answer.status == 408
        assert time.monotonic() - begun < 3.5


def test_hf15_expect_100_continue_is_answered_and_then_served(caller: Caller) -> None:
    with Connection(caller.port) as connection:
        connection.send(framed(f"Content-Length: {SIZE}", "Expect: 100-continue", body=b""))
        assert connection.socket.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.send(BODY)
        answer = connection.read()
        assert answer is not None and answer.status == 200


def test_hf16_a_trailer_is_never_read_as_a_header(caller: Caller, untouched: None) -> None:
    trailed = CHUNKED.removesuffix(b"\r\n") + KEY.encode() + b"\r\n"
    data = framed("Transfer-Encoding: chunked", "Trailer: Authorization", body=trailed).replace(KEY.encode(), b"", 1)
    assert statuses(caller, data) in ([401], [400])


def test_hf16_the_absolute_form_of_our_own_host_is_served(caller: Caller) -> None:
    data = framed(f"Content-Length: {SIZE}", "Connection: close").replace(b"POST /mcp", b"POST http://127.0.0.1/mcp")
    assert statuses(caller, data) == [200]


@pytest.mark.alone
@pytest.mark.parametrize("second", [b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"junk\0", b""])
def test_hf17_a_client_that_leaves_behind_a_pipelined_request_is_noticed(caller: Caller, second: bytes) -> None:
    before = caller.count()["left"]
    hang = json.dumps(tool_call("hang")).encode()
    with Connection(caller.port) as connection:
        connection.send(request(PATH, hang, OUR_HEADERS))
        wait_for(lambda: caller.count()["open"] > 0, 3)
        connection.send(second)
        time.sleep(0.1)
    begun = time.monotonic()
    wait_for(lambda: caller.count()["left"] == before + 1, 2)
    assert time.monotonic() - begun < 1.0
    assert caller.count()["open"] == 0


def test_two_calls_one_after_the_other_share_a_connection(caller: Caller) -> None:
    with Connection(caller.port) as connection:
        for number in (1, 2, 3):
            connection.send(request(PATH, json.dumps(message("ping", identifier=number)).encode(), OUR_HEADERS))
            answer = connection.read()
            assert answer is not None and answer.json["id"] == number


@pytest.mark.parametrize(("declared", "chunked"), [(True, False), (False, True)])
def test_p5_a_body_over_the_limit_is_refused_before_it_is_read(caller: Caller, declared: bool, chunked: bool) -> None:
    limit, block = 4 << 20, b"x" * (1 << 16)
    lines = ["Transfer-Encoding: chunked"] if chunked else [f"Content-Length: {10 << 30}"]
    sent = 0
    with Connection(caller.port) as connection:
        connection.send(framed(*lines, body=b""))
        connection.socket.settimeout(0.5)
        while sent < 8 * limit and not connection.is_closed:
            try:
                connection.send(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            except TimeoutError:
                break
            sent += len(block)
        connection.socket.settimeout(3)
        answer = connection.read()
    assert answer is None or answer.status == 413
    # Twice the limit, and what the kernel holds between us without the gateway having read it.
    assert sent < 4 * limit, f"{sent} bytes were taken"
