"""SECURITY.md group HF against the protocol class, by raw sockets and a small application that tells what it saw."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import uvicorn

from gateway_project.server.http_limits import HttpLimits
from gateway_project.server.http_protocol import GatewayHttpProtocol
from gateway_project.server.small_reads import SmallReads
from tests.server.raw_client import RawClient, Reply, exchange

LARGE = 16 << 20  # more than the system takes from us for a client that does not read


class Seen:
    """The application and what it saw."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.left: list[str] = []
        self.messages: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        connection = scope["extensions"]["gateway.connection"]
        gone = asyncio.Event()
        connection.on_disconnect = lambda: (self.left.append(scope["path"]), gone.set())
        if scope["path"] == "/early":
            return await reply(send, 401, b"early")
        if scope["path"] == "/early-close":
            return await reply(send, 413, b"early", [(b"connection", b"close")])
        if scope["path"] == "/large":
            return await reply(send, 200, b"x" * LARGE)
        if scope["path"] == "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while not gone.is_set():
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            return None
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await gone.wait()
            return None
        body = b""
        while True:
            message = await receive()
            self.messages.append(message["type"])
            if message["type"] == "http.disconnect":
                return None
            body += message["body"]
            if not message["more_body"]:
                break
        if scope["path"] == "/hang":
            await gone.wait()
            return None
        if scope["path"] == "/slow":
            await asyncio.sleep(0.3)
        told = {
            "method": scope["method"],
            "path": scope["path"],
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": len(body),
        }
        return await reply(send, 200, json.dumps(told).encode())


async def reply(send: Any, status: int, body: bytes, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"content-length", str(len(body)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Small(GatewayHttpProtocol):
    """Short deadlines, so that the tests are short."""

    limits = HttpLimits(
        head_bytes=32 << 10, headers=100, head_s=0.4, body_s=0.4, send_s=0.4, unread_body_bytes=64 << 10
    )


class SmallBehindReads(SmallReads):
    """The same behind bounded reads, as a worker has it."""

    protocol_class = Small


class Server:
    """A uvicorn server in this loop."""

    def __init__(self, keep_alive_s: int = 5) -> None:
        self.seen = Seen()
        config = uvicorn.Config(
            self.seen,
            port=0,
            http=SmallBehindReads,  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="error",
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)

    async def __aenter__(self) -> Server:
        self.task = asyncio.create_task(self.server._serve())
        while not self.server.started:
            await asyncio.sleep(0.005)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.should_exit = True
        await self.task


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    """A server with small limits."""
    async with Server() as running:
        yield running


def get(path: str = "/", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode("latin-1")


def post(body: bytes, *headers: str, path: str = "/", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def chunked(*lines: str, path: str = "/", extra: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{extra}\r\n"
    return head.encode() + "\r\n".join(lines).encode("latin-1")


async def pour(client: RawClient, most: int) -> tuple[int, Reply]:
    """Send bytes until the server answers or closes; return how many went, and its answer."""
    answer = asyncio.create_task(client.answer())
    sent = 0
    while sent < most and not answer.done():
        await client.send(b"a" * 4096)
        sent += 4096
        await asyncio.sleep(0.002)
    return sent, await answer


async def refused(server: Server, data: bytes) -> Reply:
    """Send bytes that must not reach the application, and return the answer."""
    answer = await exchange(server.port, data)
    assert server.seen.scopes == [], "the application was called"
    return answer


async def test_an_ordinary_exchange_and_a_second_one_on_the_same_connection(server: Server) -> None:
    client = await RawClient.open(server.port)
    for body in (b"{}", b"[1]"):
        await client.send(post(body, "X-Test: Grüße", path="/a%20b?q=1"))
        answer = await client.answer()
        told = json.loads(answer.body)
        assert (answer.status, answer.closed) == (200, False)
        assert (told["method"], told["path"], told["body"]) == ("POST", "/a b", len(body))
        assert ["x-test", "Grüße"] in told["headers"]
    assert server.seen.scopes[0]["raw_path"] == b"/a%20b"
    assert server.seen.scopes[0]["query_string"] == b"q=1"
    client.close()


@pytest.mark.parametrize("order", ["length first", "encoding first"])
async def test_hf1_length_and_encoding_together(server: Server, order: str) -> None:
    lines = ["Content-Length: 5", "Transfer-Encoding: chunked"]
    head = "\r\n".join(["POST / HTTP/1.1", "Host: a", *(lines if order == "length first" else lines[::-1]), "", ""])
    answer = await exchange(server.port, head.encode() + b"0\r\n\r\n")
    assert answer.status == 400
    assert answer.closed


@pytest.mark.parametrize("values", [("4", "5"), ("4", "4")])
async def test_hf2_two_lengths(server: Server, values: tuple[str, str]) -> None:
    head = "\r\n".join(["POST / HTTP/1.1", "Host: a", *(f"Content-Length: {value}" for value in values), "", ""])
    assert (await refused(server, head.encode() + b"abcde")).status == 400


@pytest.mark.parametrize("value", ["+5", "-1", "0x10", "9" * 30, "", "4, 4", "5 "])
async def test_hf3_malformed_length(server: Server, value: str) -> None:
    answer = await exchange(server.port, f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\nabcde".encode())
    assert answer.status == (200 if value == "5 " else 400)  # blanks around a value are no part of it


@pytest.mark.parametrize("coding", ["xchunked", "chunked, chunked", "gzip, chunked", "chunked, identity", "identity"])
async def test_hf4_other_transfer_codings(server: Server, coding: str) -> None:
    head = f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
    assert (await refused(server, head.encode())).status in (400, 501)


async def test_hf4_transfer_encoding_twice(server: Server) -> None:
    head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert (await refused(server, head.encode())).status == 400


@pytest.mark.parametrize("size", ["ZZ", "-1", "F" * 17, "5 5"])
async def test_hf4_malformed_chunk_sizes(server: Server, size: str) -> None:
    answer = await exchange(server.port, chunked(size, "abcde", "0", "", ""))
    assert answer.status == 400
    assert answer.closed


async def test_hf5_bytes_behind_the_body_are_no_request(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(post(b"abc", path="/slow") + get("/smuggled"))
    answer = await client.answer()
    assert json.loads(answer.body)["body"] == 3
    assert await client.ends()
    assert [scope["path"] for scope in server.seen.scopes] == ["/slow"]


async def test_hf6_a_body_that_ends_too_early(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(post(b"abc", length=10))
    client.writer.write_eof()
    assert (await client.answer()).status in (0, 400, 408)
    await asyncio.sleep(0.05)
    assert server.seen.messages[-1] == "http.disconnect"


@pytest.mark.parametrize(
    "line", ["Bad Name: x", "Name : x", "Na\0me: x", "X: a\0b", "X: a\r\n folded", "X: a\nY: b", "X: a\rY: b", ": x"]
)
async def test_hf7_malformed_header_lines(server: Server, line: str) -> None:
    assert (await refused(server, get("/", line))).status == 400


@pytest.mark.parametrize("byte", ["\x0b", "\x1c", "\x7f"])
async def test_hf8_control_bytes_in_a_value(server: Server, byte: str) -> None:
    assert (await refused(server, get("/", f"X: a{byte}b"))).status == 400


async def test_hf8_a_byte_that_some_take_for_a_line_end_stays_inert(server: Server) -> None:
    answer = await exchange(server.port, get("/", "X: a\x85Y: b"))
    assert ["x", "a\x85Y: b"] in json.loads(answer.body)["headers"]


@pytest.mark.parametrize("size", [40 << 10, 200 << 10, 1 << 20])
async def test_hf9_a_large_header(server: Server, size: int) -> None:
    answer = await refused(server, get("/", "X: " + "a" * size))
    assert (answer.status, answer.closed) in ((431, True), (0, True))


async def test_hf9_a_head_just_within_the_limit_passes(server: Server) -> None:
    assert (await exchange(server.port, get("/", "X: " + "a" * (31 << 10)))).status == 200
    body = b"b" * (200 << 10)
    assert json.loads((await exchange(server.port, post(body, "X: " + "a" * (31 << 10)))).body)["body"] == len(body)


async def test_hf9_a_large_path(server: Server) -> None:
    assert (await refused(server, get("/" + "a" * (40 << 10)))).status == 431


async def test_hf9_a_header_that_comes_in_small_pieces_and_never_ends(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    sent, answer = await pour(client, 1 << 20)
    assert sent <= 2 * (32 << 10)
    assert answer.status == 431
    assert server.seen.scopes == []


@pytest.mark.parametrize("count", [101, 2000, 5000])
async def test_hf9_many_headers(server: Server, count: int) -> None:
    assert (await refused(server, get("/", *["X: a"] * count))).status in (431, 0)


async def test_hf9_a_hundred_headers_pass(server: Server) -> None:
    assert (await exchange(server.port, get("/", *["X: a"] * 99))).status == 200


@pytest.mark.parametrize("head", ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"])
async def test_hf10_and_hf16_no_host_or_two(server: Server, head: str) -> None:
    assert (await refused(server, head.encode())).status == 400


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 200,
        b"hello\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_hf11_what_is_no_request_of_ours(server: Server, data: bytes) -> None:
    assert (await refused(server, data)).status in (400, 0)


async def test_hf12_an_upgrade_is_a_plain_request_and_the_last(server: Server) -> None:
    client = await RawClient.open(server.port)
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    await client.send(get("/", *upgrade))
    assert (await client.answer()).status == 200
    assert await client.ends(2)


@pytest.mark.parametrize("data", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n\r\n"])
async def test_hf14_a_head_that_does_not_arrive(server: Server, data: bytes) -> None:
    answer = await exchange(server.port, data, within_s=2)
    assert (answer.status, answer.closed) == (408, True)


async def test_hf14_a_head_that_drips(server: Server) -> None:
    client = await RawClient.open(server.port)
    answer = asyncio.create_task(client.answer(3))
    for byte in get("/", "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"):
        await client.send(bytes([byte]))
        await asyncio.sleep(0.02)
        if answer.done():
            break
    assert (await answer).status == 408
    assert server.seen.scopes == []


async def test_hf14_a_body_that_drips(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(post(b"", length=100))
    answer = asyncio.create_task(client.answer(3))
    while not answer.done():
        await client.send(b"a")
        await asyncio.sleep(0.05)
    assert (await answer).status == 408
    assert server.seen.messages[-1] == "http.disconnect"
    assert server.seen.left == ["/"]


async def test_hf14_a_second_head_on_a_connection_has_its_own_deadline(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(get())
    assert (await client.answer()).status == 200
    await asyncio.sleep(0.6)  # longer than a head may take: an idle connection is not a slow head
    await client.send(b"GET / HTTP/1.1\r\n")
    assert (await client.answer(2)).status == 408


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with Server(keep_alive_s=1) as server:
        client = await RawClient.open(server.port)
        await client.send(get())
        assert (await client.answer()).status == 200
        assert await client.reader.read() == b""


async def test_hf15_expect_continue(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(post(b"", "Expect: 100-continue", length=3))
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    await client.send(b"abc")
    assert json.loads((await client.answer()).body)["body"] == 3


async def test_hf16_a_trailer_is_never_a_header(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(chunked("3", "abc", "0", "Authorization: Bearer x", "X-Late: y", "", "", extra="X-Early: z\r\n"))
    told = json.loads((await client.answer()).body)
    names = [name for name, _ in told["headers"]]
    assert names == ["host", "transfer-encoding", "x-early"]
    await asyncio.sleep(0.02)
    assert len(server.seen.scopes[0]["headers"]) == 3
    await client.send(get("/next"))
    assert json.loads((await client.answer()).body)["path"] == "/next"


async def test_hf16_endless_trailers_and_chunk_extensions_are_cut(server: Server) -> None:
    for filler in (b"0\r\nX: " + b"a" * 4096, b"3;" + b"a" * 4096):
        client = await RawClient.open(server.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + filler)
        sent, answer = await pour(client, 1 << 20)
        assert sent <= 2 * (32 << 10)
        assert answer.status == 400


@pytest.mark.parametrize("line", ["GET /", "GET / HTTP/0.9", "GET / HTTP/3.9", "GET / HTTP/2.0"])
async def test_hf16_other_versions(server: Server, line: str) -> None:
    assert (await refused(server, f"{line}\r\nHost: a\r\n\r\n".encode())).status in (400, 0)


async def test_hf16_http_1_0_is_served_and_closed(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.answer()).status == 200
    assert await client.ends(1)


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/x", "localhost", 200),
        ("http://LOCALHOST/x", "localhost", 200),
        ("http://evil.example/x", "localhost", 400),
        ("http://localhost@evil.example/x", "localhost", 400),
        ("ftp://localhost/x", "localhost", 400),
        ("localhost/x", "localhost", 400),
    ],
)
async def test_hf16_absolute_targets(server: Server, target: str, host: str, status: int) -> None:
    assert (await exchange(server.port, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())).status == status


@pytest.mark.parametrize("at_once", [True, False])
async def test_hf17_a_pipelined_request_does_not_hide_the_clients_leaving(server: Server, at_once: bool) -> None:
    client = await RawClient.open(server.port)
    await client.send(get("/hang") + (get("/second") if at_once else b""))
    await asyncio.sleep(0.05)
    if not at_once:
        await client.send(get("/second") * 20)
        await asyncio.sleep(0.05)
    client.close()
    async with asyncio.timeout(1):
        while server.seen.left != ["/hang"]:
            await asyncio.sleep(0.005)
    assert [scope["path"] for scope in server.seen.scopes] == ["/hang"]


@pytest.mark.parametrize("path", ["/hang", "/stream"])
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_the_application_learns_at_once_that_the_client_left(server: Server, path: str, how: str) -> None:
    client = await RawClient.open(server.port)
    await client.send(get(path))
    await asyncio.sleep(0.05)
    client.close() if how == "fin" else client.reset()
    async with asyncio.timeout(0.5):
        while server.seen.left != [path]:
            await asyncio.sleep(0.005)


async def test_nobody_is_told_after_a_complete_answer(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(get())
    await client.answer()
    client.reset()
    await asyncio.sleep(0.05)
    assert server.seen.left == []


@pytest.mark.parametrize("path", ["/endless", "/large"])
@pytest.mark.parametrize("ending", ["keep-alive", "close"])
async def test_p30_a_client_that_never_reads_is_cut(server: Server, path: str, ending: str) -> None:
    client = await RawClient.open(server.port)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    begun = asyncio.get_running_loop().time()
    await client.send(get(path, f"Connection: {ending}"))
    connections = server.server.server_state.connections
    async with asyncio.timeout(3):
        while not connections:
            await asyncio.sleep(0.01)
        while connections:
            await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - begun > 0.35
    assert server.seen.left == ([path] if path == "/endless" else [])
    client.close()


async def test_p30_a_client_that_reads_slowly_is_not_cut(server: Server) -> None:
    client = await RawClient.open(server.port)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    await client.send(get("/large", "Connection: close"))
    received = 0
    for _ in range(20):  # five times the deadline
        received += len(await client.reader.read(50_000))
        await asyncio.sleep(0.1)
    while data := await client.reader.read(1 << 20):
        received += len(data)
    assert received > LARGE
    client.close()


async def test_an_early_answer_survives_a_body_that_is_still_coming(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(post(b"a" * 60_000, path="/early-close", length=10_000_000))
    answer = await client.answer()
    assert (answer.status, answer.body) == (413, b"early")
    for _ in range(20):
        await client.send(b"a" * 8192)
    assert await client.ends(3)


async def test_an_early_answer_keeps_a_connection_whose_body_is_small(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(post(b"", path="/early", length=5))
    assert (await client.answer()).status == 401
    await client.send(b"abcde" + get("/next"))
    assert json.loads((await client.answer()).body)["path"] == "/next"


async def test_a_body_that_nobody_wants_is_cut(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(post(b"", path="/early", length=50_000_000))
    assert (await client.answer()).status == 401
    sent, answer = await pour(client, 20_000_000)
    assert sent < 2 * (64 << 10)
    assert answer.status == 0


async def test_a_broken_body_does_not_write_into_an_answer_that_has_begun(server: Server) -> None:
    client = await RawClient.open(server.port)
    await client.send(chunked("3", "abc", "", path="/stream"))
    assert (await client.reader.readuntil(b"first\r\n")).startswith(b"HTTP/1.1 200")
    await client.send(b"ZZ\r\n")
    assert await client.reader.read() == b""
    assert server.seen.left == ["/stream"]


async def test_no_server_header_names_us(server: Server) -> None:
    server.server.config.server_header = False
    head = (await exchange(server.port, b"nonsense\r\n\r\n")).head
    assert not re.search(rb"(?im)^server:", head)


@pytest.mark.parametrize("ending", ["after the answer", "during the answer", "before the head", "by a reset"])
async def test_a_closed_connection_leaves_nothing_for_the_garbage_collector(server: Server, ending: str) -> None:
    gc.collect()
    gc.disable()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while not server.server.server_state.connections:
            await asyncio.sleep(0.005)
        (connection,) = server.server.server_state.connections
        is_there = weakref.ref(connection)
        del connection
        if ending != "before the head":
            writer.write(get("/hang" if ending == "during the answer" else "/"))
            if ending == "during the answer":
                await until(lambda: server.seen.messages)
            else:
                await reader.readuntil(b"\r\n\r\n")
        if ending == "by a reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        else:
            writer.close()
        await until(lambda: not server.server.server_state.connections)
        server.seen.scopes.clear()
        await until(lambda: is_there() is None)
    finally:
        gc.enable()


async def until(holds: Callable[[], object]) -> None:
    """Wait for something to become true. Raises TimeoutError after a second."""
    async with asyncio.timeout(1):
        while not holds():
            await asyncio.sleep(0.005)
