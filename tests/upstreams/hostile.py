"""Hostile MCP upstream: the path chooses how it misbehaves. It records what reaches it and guards a canary.

Run: `python -m tests.upstreams.hostile --port 0`. The READY line carries the base URL; `BASE/hang` hangs, and so on.
The handshake (initialize, notifications, ping, server/discover) is answered correctly, so that a gateway gets as far as
the call; `?all=1` plays the behaviour on every message, `?era=modern` speaks the modern era in the handshake.
`BASE/switched` does what a request to `BASE/_switch/NAME?times=N` chose last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from dataclasses import replace
from typing import Any

from tests.upstreams import hostile_json, hostile_lists, hostile_stream, hostile_time, hostile_wire
from tests.upstreams.hostile_exchange import GROUPS, JSON_TYPE, REGISTER, Exchange
from tests.upstreams.listening import announce, bind
from tests.upstreams.raw_http import RawConnection, RawRequest
from tests.upstreams.seen import Seen

PARTS = (hostile_json, hostile_lists, hostile_stream, hostile_time, hostile_wire)
BEHAVIOURS: tuple[str, ...] = tuple(REGISTER)
BEHAVIOURS_BY_CASE: dict[str, tuple[str, ...]] = {case: tuple(names) for case, names in GROUPS.items()}
MODERN = "2026-07-28"
SWITCHED_TOOLS = [
    {"name": name, "inputSchema": {"type": "object"}, "annotations": {hint: True}}
    for name, hint in (("reads", "readOnlyHint"), ("puts", "idempotentHint"), ("writes", "openWorldHint"))
]


def _handshake_result(exchange: Exchange) -> dict[str, Any] | None:
    """The correct result of a handshake message; None when the message is none, or is to be played."""
    info = {"name": "hostile-upstream", "version": "1.0.0"}
    capabilities = {"tools": {"listChanged": True}}
    method = exchange.request.message.get("method")
    if method == "initialize":
        asked = (exchange.request.message.get("params") or {}).get("protocolVersion", "2025-11-25")
        return {"protocolVersion": asked, "capabilities": capabilities, "serverInfo": info}
    if method == "ping":
        return {}
    if method == "server/discover" and exchange.request.query.get("era") == "modern":
        meta = {"io.modelcontextprotocol/serverInfo": info}
        listed = {"supportedVersions": [MODERN], "capabilities": capabilities, "_meta": meta}
        return listed | {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    return None


async def _greet(exchange: Exchange) -> bool:
    """Answer a handshake message, or a verb that is none of ours; False when the behaviour is to be played."""
    request = exchange.request
    if request.query.get("all") == "1" or request.path == "/sse-endpoint":
        return False
    if request.method != "POST":
        await exchange.reply(b"", 405, [("Allow", "POST")])
        return True
    method = str(request.message.get("method", ""))
    if method.startswith("notifications/") or (not method and request.message):
        await exchange.reply(b"", 202, [])
        return True
    if (result := _handshake_result(exchange)) is not None:
        await exchange.reply(exchange.dumped(result=result))
        return True
    if method == "server/discover":
        error = {"code": -32600, "message": "Bad Request: Missing session ID"}
        await exchange.reply(exchange.dumped(result=..., id="server-error", error=error), 400)
        return True
    return False


class HostileUpstream:
    """The server: routes by path, counts what is open."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.switched, self.times = "ok", 0

    def connection(self) -> RawConnection:
        """A protocol for one accepted connection."""
        return RawConnection(self.play)

    async def play(self, connection: RawConnection, request: RawRequest) -> None:
        """Record the request and do to it what its path says."""
        exchange = Exchange(connection, request)
        if request.path == "/_seen":
            if request.method == "DELETE":
                self.seen.clear()
            await exchange.reply(self.seen.dump())
            return
        if request.path.startswith("/_switch/"):
            self.switched = request.path.removeprefix("/_switch/")
            self.times = int(exchange.number("times", 1 << 30))
            await exchange.reply(b"{}")
            return
        self.seen.arrived(request.method, request.path, request.headers, request.body)
        self.seen.open += 1
        how = "disconnected"
        try:
            await self._route(exchange)
            how = "finished"
        finally:
            self.seen.open -= 1
            self.seen.ended(request.path, how)

    async def _route(self, exchange: Exchange) -> None:
        name = exchange.request.path.strip("/")
        if name == "switched":
            # What /_switch/NAME chose last, so many times, on every message; then all is well.
            name = self.switched if self.times > 0 else "ok"
            self.times -= 1
            exchange = Exchange(exchange.connection, replace(exchange.request, target=f"/{name}"))
            if name != "ok":
                await REGISTER[name](exchange)
                return
            if exchange.request.message.get("method") == "tools/list":
                await exchange.reply(exchange.dumped(result={"tools": SWITCHED_TOOLS}))
                return
        if name == "canary":
            await exchange.reply(b'{"canary": "nothing may ever ask for this"}')
        elif name not in REGISTER:
            known = json.dumps({"error": f"no behaviour {name!r}", "behaviours": BEHAVIOURS}).encode()
            await exchange.reply(known, 404, [JSON_TYPE])
        elif not await _greet(exchange):
            await REGISTER[name](exchange)


async def serve(port: int) -> None:
    """Listen on loopback until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listener = bind(port)
    server = await loop.create_server(HostileUpstream().connection, sock=listener, backlog=1024)
    announce(listener, "")
    await stop.wait()
    server.close()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
