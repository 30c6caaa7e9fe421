"""The upstream client on real sockets: which connections are used again, how answers are framed, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.answer_head import MAX_HEADERS
from proxy.errors import UpstreamFailed
from proxy.upstream import keeps_for
from proxy.upstream_connection import MAX_INTERIM
from tests.proxy.answers import answer, chunked
from tests.proxy.scripted import LOOPS, Peer, ScriptedServer, call, echoing, on_both_loops, run

POISON = answer(b"poisoned")
INTERIM = b"HTTP/1.1 103 Early Hints\r\nX-Early: hint\r\nLink: </a>\r\n\r\n"
CLOSING = "Connection: close"
JSON_BODY = b'{"jsonrpc":"2.0","id":1,"result":{}}'


async def pause(_: Peer) -> None:
    """Do nothing for longer than the client takes to read its answer."""
    await asyncio.sleep(0.05)


async def hang_up(peer: Peer) -> None:
    """Close at once."""
    peer.writer.close()


async def poison_later(peer: Peer) -> None:
    """Send bytes that nobody asked for, while the connection is idle."""
    await asyncio.sleep(0.05)
    await peer.send(POISON)


REUSED = {
    "length": answer(b"first"),
    "chunked": chunked(b"fi", b"rst"),
    "interim": INTERIM + answer(b"first"),
    "extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nfirst\r\n0\r\n\r\n",
    "keep-alive 1.0": answer(b"first", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
}
# What the first answer is followed by, and what the server does then.
NOT_REUSED = {
    "poison": (answer(b"first") + POISON, pause),
    "poison behind chunks": (chunked(b"first") + POISON, pause),
    "garbage": (answer(b"first") + b"x", pause),
    "poison later": (answer(b"first"), poison_later),
    "closed": (answer(b"first"), hang_up),
    "announced": (answer(b"first", CLOSING), pause),
    "announced, poison": (answer(b"first", CLOSING) + POISON, pause),
    "HTTP/1.0": (answer(b"first").replace(b"HTTP/1.1", b"HTTP/1.0"), pause),
    "chunked HTTP/1.0": (chunked(b"first", version="1.0", headers="Connection: keep-alive\r\n"), pause),
    "trailers": (chunked(b"first", trailer=b"X-Trailer: one\r\n"), pause),
    "framing in a trailer": (chunked(b"first", trailer=b"Connection: close\r\n"), pause),
    "no framing": (b"HTTP/1.1 200 OK\r\n\r\nfirst", hang_up),
}


@pytest.mark.parametrize("case", REUSED)
@on_both_loops
async def test_a_connection_is_used_again_after_an_exact_answer(case: str) -> None:
    async with ScriptedServer(echoing(REUSED[case])) as server:
        client = server.client()
        assert await call(client) == (200, b"first")
        for body in (b"second", b"third"):
            reply = await client.send("POST", {}, body)
            assert await reply.read(100) == body and reply.headers == {"content-length": str(len(body))}
        assert server.connections == 1


@pytest.mark.parametrize("case", NOT_REUSED)
@on_both_loops
async def test_u12_no_connection_is_used_again_that_may_hold_anything_else(case: str) -> None:
    first, then = NOT_REUSED[case]
    async with ScriptedServer(echoing(first, then)) as server:
        client = server.client()
        reply = await client.send("POST", {}, b"{}")
        assert (reply.status, await reply.read(100)) == (200, b"first") and "x-trailer" not in reply.headers
        reply.close()
        await asyncio.sleep(0.1)
        assert await call(client, b"second") == (200, b"second")
        assert server.connections == 2


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@on_both_loops
async def test_an_answer_that_has_no_body_ends_with_its_head(status: str) -> None:
    head = f"HTTP/1.1 {status}\r\n\r\n".encode()
    async with ScriptedServer(echoing(head)) as exact, ScriptedServer(echoing(head + POISON)) as poisonous:
        for server, connections in ((exact, 1), (poisonous, 2)):
            client = server.client()
            assert await call(client) == (int(status[:3]), b"")
            assert await call(client, b"own") == (200, b"own")
            assert server.connections == connections


@pytest.mark.alone
def test_an_idle_connection_is_closed_before_a_server_would() -> None:
    closings: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"{}"))
        begun = asyncio.get_running_loop().time()
        closings.append(await peer.closed_by_client() - begun)

    async def check() -> None:
        async with ScriptedServer(script) as server:
            client = server.client()
            await asyncio.gather(*(call(client) for _ in range(3)))
            await asyncio.sleep(4.8)
            assert len(closings) == 3 and all(3.9 < seconds < 4.8 for seconds in closings)
            assert not client._idle and client._sweep is None

    run("uvloop", check())


@pytest.mark.parametrize(
    ("hint", "kept"),
    [
        *(("timeout=5", 4.0), ("timeout=600", 4.0), ("timeout=2, max=100", 1.0), ("max=9,timeout=3", 2.0)),
        *(("Timeout=1", 0.5), ("timeout=0", 0.0), ("", 4.0), ("timeout=soon", 4.0), ("timeout=1.5", 4.0)),
        *(("xtimeout=1", 4.0), ("timeout=-1", 4.0), ("timeout=9999999999", 4.0)),
    ],
)
def test_an_upstreams_hint_shortens_how_long_a_connection_is_kept(hint: str, kept: float) -> None:
    assert keeps_for(hint) == kept


@on_both_loops
async def test_a_connection_is_not_used_in_the_moment_when_the_upstream_closes_it() -> None:
    """The upstream says that it closes after a second, and does; the call that comes then gets a new connection."""

    async def script(peer: Peer) -> None:
        while True:
            try:
                async with asyncio.timeout(1):
                    request = await peer.request()
            except TimeoutError:
                return
            if request is None:
                return
            await peer.send(answer(request.partition(b"\r\n\r\n")[2], "Keep-Alive: timeout=1"))

    async with ScriptedServer(script) as server:
        client = server.client()
        for number, pause in enumerate((0.1, 0.9, 0.98, 0.999)):
            body = b"%d" % number
            assert await call(client, body) == (200, body)
            await asyncio.sleep(pause)
        assert await call(client, b"last") == (200, b"last")
        assert server.connections == 4


@pytest.mark.parametrize("how", ["FIN", "RST"])
@on_both_loops
async def test_a_connection_that_went_stale_fails_the_call_and_nothing_is_sent_twice(how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"{}"))
        await peer.request()
        peer.reset() if how == "RST" else peer.writer.close()

    async with ScriptedServer(script) as server:
        client = server.client()
        await call(client)
        with pytest.raises(UpstreamFailed) as failure:
            await call(client, b"only once")
        assert failure.value.reason == "upstream_closed"
        await asyncio.sleep(0.05)
        assert server.connections == 1 and sum(b"only once" in request for request in server.requests) == 1


@on_both_loops
async def test_a_connection_that_holds_an_unsent_request_is_not_used_again() -> None:
    async def script(peer: Peer) -> None:
        if peer.server.connections == 1:
            await peer.reader.readuntil(b"\r\n\r\n")
            await peer.send(answer(b"early"))
            await asyncio.sleep(5)
        await peer.request()
        await peer.send(answer(b"own"))

    async with ScriptedServer(script) as server:
        client = server.client()
        assert await call(client, b"x" * (16 << 20)) == (200, b"early")
        assert await asyncio.wait_for(call(client), 2) == (200, b"own")


@on_both_loops
async def test_an_early_end_is_seen_though_the_request_was_never_read() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\n\r\ntoo large")
        peer.writer.write_eof()
        await asyncio.sleep(5)

    async with ScriptedServer(script) as server:
        assert await asyncio.wait_for(call(server.client(), b"x" * (16 << 20)), 2) == (413, b"too large")


FRAMINGS = {
    "length": answer(JSON_BODY, "Content-Type: application/json"),
    "chunked": INTERIM + chunked(JSON_BODY[:1], JSON_BODY[1:20], JSON_BODY[20:], trailer=b"X-T: 1\r\n"),
    "until the end": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + JSON_BODY,
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("framing", FRAMINGS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, 130), max_size=12))
def test_an_answer_may_be_cut_at_any_byte(loop: str, framing: str, cuts: set[int]) -> None:
    raw = FRAMINGS[framing]

    async def script(peer: Peer) -> None:
        await peer.request()
        for begin, end in itertools.pairwise([0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]):
            await peer.send(raw[begin:end])
            for _ in range(3):
                await asyncio.sleep(0)

    async def check() -> None:
        async with ScriptedServer(script) as server:
            assert await call(server.client()) == (200, JSON_BODY)

    run(loop, check())


@pytest.mark.parametrize("ending", ["FIN", "RST"])
@pytest.mark.parametrize("framing", FRAMINGS)
@on_both_loops
async def test_an_answer_that_breaks_off_is_no_answer(framing: str, ending: str) -> None:
    raw, lengths = FRAMINGS[framing], itertools.count()
    head = raw.index(b"\r\n\r\n", raw.index(b" 200 ")) + 4

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(raw[: next(lengths)])
        if ending == "RST":
            await asyncio.sleep(0.002)
            peer.reset()

    async with ScriptedServer(script) as server:
        client = server.client()
        for length in range(len(raw)):
            outcome: bytes | str
            try:
                outcome = (await call(client))[1]
            except UpstreamFailed as failure:
                outcome = failure.reason
            if framing == "until the end" and ending == "FIN" and length >= head:
                assert outcome == raw[head:length]  # nothing says where it should have ended
            else:
                assert outcome == "upstream_closed", length


REFUSED = {
    "length twice": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", "upstream_broken"),
    "length and coding": (chunked(b"{}", headers="Content-Length: 2\r\n"), "upstream_broken"),
    "coding and length": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "upstream_broken",
    ),
    "unknown coding": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "upstream_broken"),
    "two codings": (chunked(b"{}", headers="Transfer-Encoding: chunked\r\n"), "upstream_broken"),
    "no length": (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "upstream_broken"),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "upstream_broken"),
    "vast length": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "upstream_broken"),
    "folded header": (b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}", "upstream_broken"),
    "blank before colon": (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}", "upstream_broken"),
    "NUL": (b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 2\r\n\r\n{}", "upstream_broken"),
    "bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", "upstream_broken"),
    "HTTP/0.9": (b'{"jsonrpc":"2.0"}\n', "upstream_broken"),
    "switching": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "upstream_broken"),
    "interim with a body": (answer(b"HTTP/", status="104 Odd") + answer(b"{}"), "upstream_broken"),
    "interim for ever": (INTERIM * (MAX_INTERIM + 1) + answer(b"{}"), "upstream_broken"),
    "many headers": (answer(b"{}", *["X-A: b"] * MAX_HEADERS), "upstream_broken"),
    "large header": (answer(b"{}", f"X-A: {'b' * 65536}"), "upstream_broken"),
    "compressed": (answer(b"{}", "Content-Encoding: gzip"), "upstream_encoding"),
    **{f"status {s}": (answer(b"{}", status=f"{s} Odd"), "upstream_status_invalid") for s in ("600", "999", "099")},
}
ACCEPTED = {
    "interim": INTERIM * MAX_INTERIM + answer(b"{}"),
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"{}"),
    "headers": answer(b"{}", *["X-A: b"] * (MAX_HEADERS - 1)),
    "identity": answer(b"{}", "Content-Encoding: Identity"),
    "upgrade offered": answer(b"{}", "Connection: Upgrade", "Upgrade: h2c"),
}


@pytest.mark.parametrize("case", [*REFUSED, *ACCEPTED])
@on_both_loops
async def test_what_an_answer_may_look_like(case: str) -> None:
    raw, reason = REFUSED.get(case) or (ACCEPTED[case], "")
    async with ScriptedServer(echoing(raw, pause)) as server:
        client = server.client()
        if reason:
            with pytest.raises(UpstreamFailed) as failure:
                await call(client)
            assert failure.value.reason == reason
        else:
            assert await call(client) == (200, b"{}")
        assert await call(client, b"own") == (200, b"own")
        assert server.connections == (2 if reason else 1)


@pytest.mark.parametrize(
    "endless",
    [b"X-A: b", b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX-A: ", INTERIM, chunked(b"{}")[:-2] + b"X-T: ",
     chunked()[:-5] + b"1;"],
    ids=["garbage", "reason", "header", "interim", "trailer", "chunk extension"],
)  # fmt: skip
@on_both_loops
async def test_what_never_ends_is_cut_early(endless: bytes) -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        with contextlib.suppress(ConnectionError):
            await peer.send(endless)
            while True:
                await peer.send(b"y" * 4096)
                sent += 4096
                await asyncio.sleep(0)

    async with ScriptedServer(script) as server:
        with pytest.raises(UpstreamFailed) as failure:
            await asyncio.wait_for(call(server.client()), 3)
        assert failure.value.reason == "upstream_broken" and sent < 1 << 20
