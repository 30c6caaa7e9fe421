"""The upstream client under pressure: readers that do not read, callers that leave, addresses that do not answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from namespaces import egress
from proxy.errors import GatewayError, UpstreamFailed, UpstreamTimeout
from proxy.upstream import UpstreamClient
from proxy.upstream_connection import READ_AHEAD_BYTES
from tests.proxy.answers import answer, chunked
from tests.proxy.scripted import Peer, ScriptedServer, call, echoing, entry, on_both_loops, open_files

MIB = 1 << 20
# What the kernel may hold of one loopback connection, both ends together.
KERNEL_BYTES = 12 * MIB


@pytest.mark.parametrize("framing", ["chunked", "until the end"])
@on_both_loops
async def test_an_endless_body_waits_for_its_reader(framing: str) -> None:
    sent = 0
    piece = b"z" * 65536
    raw = chunked(piece)[:-5] if framing == "chunked" else b"HTTP/1.1 200 OK\r\n\r\n" + piece
    more = b"10000\r\n%b\r\n" % piece if framing == "chunked" else piece

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(raw)
        while True:
            await peer.send(more)
            sent += len(piece)

    async with ScriptedServer(script) as server:
        reply = await server.client().send("POST", {}, b"{}")
        await asyncio.sleep(0.3)
        blocked_at = sent
        tracemalloc.start()
        await asyncio.sleep(0.3)
        assert sent == blocked_at < KERNEL_BYTES
        assert tracemalloc.get_traced_memory()[1] < MIB
        tracemalloc.stop()
        assert reply._connection is not None and reply._connection._buffered <= READ_AHEAD_BYTES + 4 * 65536
        taken = 0
        async for chunk in reply.chunks():
            taken += len(chunk)
            if taken > blocked_at + 16 * MIB:
                break
        assert sent > blocked_at
        reply.close()
        reply.close()
        with pytest.raises(UpstreamFailed):
            await reply.read(1)


@on_both_loops
async def test_a_dripping_body_costs_no_more_than_its_bytes() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(10_000):
            await peer.send(b"ab")
            await asyncio.sleep(0)

    async with ScriptedServer(script) as server:
        reply = await server.client().send("POST", {}, b"{}")
        gc.collect()
        tracemalloc.start()
        body = await reply.read(MIB)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert body == b"ab" * 10_000 and peak < 400_000


@on_both_loops
async def test_the_cap_holds_for_what_is_declared_and_for_what_comes() -> None:
    async def script(peer: Peer) -> None:
        while await peer.request():
            first = len(peer.server.requests) == 1
            await peer.send(answer(b"x" * 1001) if first else chunked(b"x" * 501, b"x" * 500))

    async with ScriptedServer(script) as server:
        client = server.client()
        for _ in range(2):
            with pytest.raises(UpstreamFailed) as failure:
                await call(client, cap=1000)
            assert failure.value.reason == "answer_too_large"
        assert await call(client, cap=1001) == (200, b"x" * 1001)


@pytest.mark.alone
@on_both_loops
async def test_draining_gives_back_what_ends_soon_and_closes_the_rest() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"short"))
        await peer.request()
        await peer.send(answer(b"x" * 100)[:-50])
        await peer.closed_by_client()

    async with ScriptedServer(script) as server:
        client = server.client()
        await (await client.send("POST", {}, b"{}")).drain(1.0)
        begun = asyncio.get_running_loop().time()
        await (await client.send("POST", {}, b"{}")).drain(0.1)
        assert asyncio.get_running_loop().time() - begun < 0.3
        assert server.connections == 1 and not client._idle


async def moody(peer: Peer) -> None:
    """Answer each request with its own body: early, late, in pieces, never, or not at all."""
    random_ = random.Random(peer.server.connections)
    while (request := await peer.request()) is not None:
        body = request.partition(b"\r\n\r\n")[2]
        mood = 0 if body.startswith(b"good") else random_.randrange(6)
        if mood == 1:
            await asyncio.sleep(random_.random() * 0.01)
        if mood == 2:
            await peer.send(answer(body)[:-3])
            await asyncio.sleep(random_.random() * 0.01)
            await peer.send(answer(body)[-3:])
            continue
        if mood == 3:
            await peer.closed_by_client()
            return
        if mood == 4:
            return
        await peer.send(answer(body) if mood else chunked(body))


@on_both_loops
async def test_callers_that_leave_at_any_moment_cost_nothing() -> None:
    random_ = random.Random(7)

    async def leaver(number: int) -> None:
        body = b"call %d" % number
        with contextlib.suppress(TimeoutError, GatewayError):
            async with asyncio.timeout(random_.random() * 0.008):
                assert await call(client, body) == (200, body)

    async with ScriptedServer(moody) as server:
        client = server.client()
        before = open_files()
        for batch in range(50):
            await asyncio.gather(*(leaver(batch * 20 + number) for number in range(20)))
        for number in range(100):
            body = b"good %d" % number
            with contextlib.suppress(UpstreamFailed):  # one that the server closed this very moment
                assert await call(client, body) == (200, body)
        assert sum(b"good" in request for request in server.requests) >= 95
        await client.close()
        for _ in range(100):
            if open_files() <= before:
                break
            await asyncio.sleep(0.01)
        assert open_files() <= before
        assert len(asyncio.all_tasks()) < 5


@on_both_loops
async def test_a_closed_client_keeps_no_connection() -> None:
    async with ScriptedServer(echoing(answer(b"{}"))) as server:
        client = server.client()
        reply = await client.send("POST", {}, b"{}")
        await client.close()
        assert await reply.read(10) == b"{}"
        assert not client._idle and client._sweep is None


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return a table that answers for DNS: name -> addresses."""
    table: dict[str, list[str]] = {}

    async def resolve(host: str, port: int, family: int = 0) -> list[tuple[int, str]]:
        for address in table[host]:
            egress.check_address(host, address)
        return [(socket.AF_INET, address) for address in table[host]]

    monkeypatch.setattr(egress, "resolve", resolve)
    return table


@contextlib.contextmanager
def black_hole(port: int) -> Iterator[str]:
    """Yield an address that answers no connection on `port`: a listener whose queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.9", port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.9", port))
        yield "127.0.0.9"


@pytest.mark.alone
@pytest.mark.parametrize("order", ["dead first", "refusing first", "silent only"])
@on_both_loops
async def test_an_address_that_does_not_answer_hinders_no_other(order: str, names: dict[str, list[str]]) -> None:
    async with ScriptedServer(echoing(answer(b"{}"))) as server:
        with black_hole(server.port) as silent:
            names["several.internal"] = {
                "dead first": [silent, "127.0.0.1"],
                "refusing first": ["127.0.0.8", silent, "127.0.0.1"],
                "silent only": [silent, "127.0.0.8"],
            }[order]
            before = open_files()
            client = server.client("several.internal", connect_s=0.7)
            begun = asyncio.get_running_loop().time()
            if order == "silent only":
                with pytest.raises(UpstreamTimeout) as failure:
                    await call(client)
                assert failure.value.reason == "connect_timeout"
                assert 0.6 < asyncio.get_running_loop().time() - begun < 1.2
                assert open_files() == before
            else:
                assert await call(client) == (200, b"{}")
                assert asyncio.get_running_loop().time() - begun < 0.65
                assert b"\r\nHost: several.internal:%d\r\n" % server.port in server.requests[0]


@on_both_loops
async def test_each_way_not_to_connect_has_its_reason(settings: Any) -> None:
    settings.UPSTREAM_ALLOW = ["127.0.0.1"]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for url, reason in {
        f"http://127.0.0.1:{port}/": "upstream_unreachable",
        f"http://127.0.0.2:{port}/": "egress_denied",
        f"http://{'a' * 64}.example/": "url_invalid",
        "http://no-such-host.invalid/": "upstream_dns",
    }.items():
        with pytest.raises(UpstreamFailed) as failure:
            await call(UpstreamClient(entry(url)))
        assert failure.value.reason == reason, url
