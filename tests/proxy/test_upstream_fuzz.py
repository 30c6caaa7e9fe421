"""Mutated answers: each ends in a result or an error of the gateway's, and the next call gets its own answer."""

from __future__ import annotations

import asyncio
import contextlib
import random

import httptools
import pytest

from proxy.answer_head import read_head
from proxy.errors import GatewayError, UpstreamFailed
from tests.proxy.answers import answer, chunked
from tests.proxy.scripted import LOOPS, Peer, ScriptedServer, call, run

SEEDS = [
    answer(b'{"jsonrpc":"2.0","id":1,"result":{}}', "Content-Type: application/json", "Connection: keep-alive"),
    chunked(b'{"jsonrpc":"2.0",', b'"id":1,"result":{}}', headers="Content-Type: application/json\r\n"),
    chunked(b"data: {}\n\n", trailer=b"X-Trailer: 1\r\n", headers="Content-Type: text/event-stream\r\n"),
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(b"{}"),
    b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\n\r\n",
]
TOKENS = [
    *(b"\r\n", b"\r", b"\n", b"\x00", b"\xff", b" ", b"\t", b":", b";", b",", b"0", b"-1", b"\r\n\r\n"),
    *(b"Content-Length: 3\r\n", b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/2.0 ", b"HTTP/0.9 "),
    *(b"ffffffffffffffff\r\n", b"0\r\n\r\n", b"Content-Encoding: br\r\n", b"X" * 3000, b"A: b\r\n" * 220),
    answer(b"poisoned"),
]
EACH_LOOP = 2500
READ = frozenset(
    "content-type content-length content-encoding transfer-encoding mcp-session-id retry-after keep-alive".split()
)


def mutate(random_: random.Random) -> bytes:
    """Return a seed with one to four changes: bytes flipped, tokens put in, parts cut, doubled or moved."""
    raw = bytearray(random_.choice(SEEDS))
    for _ in range(random_.randint(1, 4)):
        begin = random_.randint(0, len(raw))
        end = min(len(raw), begin + random_.randint(1, 20))
        match random_.randrange(6):
            case 0 if raw:
                raw[min(begin, len(raw) - 1)] = random_.randrange(256)
            case 1:
                del raw[begin:end]
            case 2:
                raw[begin:begin] = raw[begin:end]
            case 3:
                del raw[begin:]
            case _:
                raw[begin:begin] = random_.choice(TOKENS)
    return bytes(raw)


class _Lines:
    """What the parser itself tells of a head, line by line."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.complete = True


def test_a_head_is_read_as_the_parser_reads_it() -> None:
    random_ = random.Random("heads")
    compared = 0
    for _ in range(20_000):
        raw = mutate(random_)
        lines = _Lines()
        with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
            httptools.HttpResponseParser(lines).feed_data(raw)
        if not lines.complete:
            continue
        try:
            found = read_head(raw.lstrip(b"\r\n").partition(b"\r\n\r\n")[0])
        except UpstreamFailed:
            continue  # stricter than the parser
        compared += 1
        assert found == {name: value for name, value in lines.headers.items() if name in READ}, raw
    assert compared > 5000


@pytest.mark.parametrize("loop", LOOPS)
def test_any_answer_ends_and_the_next_call_gets_its_own(loop: str) -> None:
    random_ = random.Random(f"answers for {loop}")
    outcomes: dict[str, int] = {}

    async def script(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            body = request.partition(b"\r\n\r\n")[2]
            if body.startswith(b"own"):
                await peer.send(answer(body))
                continue
            raw = mutate(random_)
            cut = random_.choice([len(raw), random_.randint(0, len(raw))])
            await peer.send(raw[:cut])
            await asyncio.sleep(0)
            await peer.send(raw[cut:])
            await asyncio.sleep(0.001)
            if random_.random() < 0.5:
                return
            # What waits for bytes that never come is ended by a deadline, which is not the client's own.

    async def one(number: int, server: ScriptedServer) -> None:
        client = server.client()
        try:
            async with asyncio.timeout(0.05):
                status, _ = await call(client, b"mutant")
            outcome = "result"
            assert 200 <= status <= 599
        except GatewayError as failure:
            outcome = failure.reason
        except TimeoutError:
            outcome = "waits"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        for _ in range(6):  # on a slow machine too, the loop looks at the sockets in between
            await asyncio.sleep(0.001)
        assert await call(client, b"own %d" % number) == (200, b"own %d" % number)
        await client.close()

    async def check() -> None:
        async with ScriptedServer(script) as server:
            for begin in range(0, EACH_LOOP, 25):
                await asyncio.gather(*(one(number, server) for number in range(begin, begin + 25)))
            own = [request for request in server.requests if b"\r\n\r\nown " in request]
            assert len(own) == len(set(own)) == EACH_LOOP

    run(loop, check())
    assert set(outcomes) <= {
        *("result", "waits", "upstream_broken", "upstream_closed", "upstream_encoding", "upstream_status_invalid")
    }
    assert min(outcomes["result"], outcomes["upstream_broken"], outcomes["upstream_closed"]) > EACH_LOOP // 20
