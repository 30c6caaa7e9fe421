"""A very light MCP upstream of the legacy era, for benches and fault tests: raw ASGI, no SDK.

Run: `python -m tests.upstreams.echo_fast --port 0 [--sessions] [--delay-ms N] [--standing [--interval-ms N]]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tests.upstreams.listening import serve_asgi

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

JSON_HEADERS = [(b"content-type", b"application/json")]
SSE_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
ANY_OBJECT = {"type": "object"}
TOOLS = [
    {"name": "echo", "description": "Answers its arguments", "inputSchema": ANY_OBJECT},
    {"name": "add", "description": "Adds a and b", "inputSchema": ANY_OBJECT},
    {"name": "stream", "description": "`count` events, one each `interval_ms`", "inputSchema": ANY_OBJECT},
    {"name": "hang", "description": "Never answers", "inputSchema": ANY_OBJECT},
    {"name": "sleep", "description": "Answers its arguments after `ms`", "inputSchema": ANY_OBJECT},
]


def tool_text(name: str, arguments: dict[str, Any]) -> str:
    """What a tool says: the sum for `add`, the arguments as JSON for any other name."""
    if name == "add":
        return json.dumps(arguments.get("a", 0) + arguments.get("b", 0))
    return json.dumps(arguments)


class EchoFast:
    """The ASGI application. GET /_count tells how many calls there were, /_open which wait, /_left who left when.

    `/_open` lists the `nonce` arguments of the calls that hang or stream at this moment.
    `/_left` maps the `nonce` argument of each abandoned call to the moment at which the upstream saw its caller
    leave, in seconds of the host's monotonic clock.
    """

    def __init__(
        self,
        *,
        delay_s: float = 0.0,
        sessions: bool = False,
        standing: float | None = None,
        tools: Sequence[Mapping[str, Any]] = TOOLS,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare it.

        Args: delay_s: before each answer to a call; sessions: keep them; standing: seconds between the events of a
        GET stream, None to offer none; tools: what it lists; texts: what the tool of a name says, whatever it is asked.
        """
        self.delay_s = delay_s
        self.standing = standing
        self.tools = list(tools)
        self.texts = dict(texts or {})
        self.open: set[str] = set()
        self.left: dict[str, float] = {}
        self.sessions: set[str] | None = set() if sessions else None
        self.count = {"calls": 0, "answered": 0, "open": 0, "left": 0}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request; lifespan is not offered."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/_"):
            told = {"/_count": self.count, "/_open": sorted(self.open), "/_left": self.left}
            await _reply(send, 200, told[scope["path"]])
            return
        body = (message := await receive()).get("body", b"")
        while message.get("more_body", False):
            message = await receive()
            body += message.get("body", b"")
        if scope["method"] == "GET" and self.standing is not None:
            await self._watched(_standing(send, self.standing), receive, "")
            return
        if scope["method"] != "POST":
            await self._other_verb(scope, send)
            return
        request = json.loads(body)
        if self.sessions is None or request.get("method") == "initialize" or await self._knows(scope, send):
            await self._answer(request, receive, send)

    async def _other_verb(self, scope: dict[str, Any], send: Send) -> None:
        if scope["method"] == "DELETE" and self.sessions is not None and await self._knows(scope, send):
            self.sessions.discard(_session_of(scope))
            await _reply(send, 200, {})
        elif scope["method"] != "DELETE" or self.sessions is None:
            await _reply(send, 405, {}, [(b"allow", b"POST")])

    async def _knows(self, scope: dict[str, Any], send: Send) -> bool:
        """Whether the session is one of ours; answers 400 or 404 itself when it is not."""
        session = _session_of(scope)
        if session and session in (self.sessions or ()):
            return True
        error = {"code": -32600, "message": "Session not found" if session else "Missing session ID"}
        await _reply(send, 404 if session else 400, {"jsonrpc": "2.0", "id": None, "error": error})
        return False

    async def _answer(self, request: dict[str, Any], receive: Receive, send: Send) -> None:
        method, params = request.get("method"), request.get("params") or {}
        if "id" not in request or method is None:
            await _reply(send, 202, None)
        elif method == "tools/call":
            await self._call(request["id"], params, receive, send)
        elif method == "initialize":
            await self._initialize(request["id"], params, send)
        elif method == "tools/list":
            await _reply(send, 200, {"jsonrpc": "2.0", "id": request["id"], "result": {"tools": self.tools}})
        elif method == "ping":
            await _reply(send, 200, {"jsonrpc": "2.0", "id": request["id"], "result": {}})
        else:
            error = {"code": -32601, "message": f"Method not found: {method}"}
            await _reply(send, 200, {"jsonrpc": "2.0", "id": request["id"], "error": error})

    async def _initialize(self, request_id: Any, params: dict[str, Any], send: Send) -> None:
        headers = []
        if self.sessions is not None:
            session = secrets.token_hex(16)
            self.sessions.add(session)
            headers.append((b"mcp-session-id", session.encode()))
        result = {
            "protocolVersion": params.get("protocolVersion", "2025-11-25"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "echo-fast", "version": "1.0.0"},
        }
        await _reply(send, 200, {"jsonrpc": "2.0", "id": request_id, "result": result}, headers)

    async def _call(self, request_id: Any, params: dict[str, Any], receive: Receive, send: Send) -> None:
        self.count["calls"] += 1
        name, arguments = params.get("name"), params.get("arguments") or {}
        if name in ("hang", "stream"):
            work = self._hang() if name == "hang" else _stream(request_id, arguments, send)
            await self._watched(work, receive, str(arguments.get("nonce", "")))
            return
        if delay_s := float(arguments.get("ms", 0)) / 1000 if name == "sleep" else self.delay_s:
            await asyncio.sleep(delay_s)
        text = self.texts.get(str(name)) or tool_text(str(name), arguments)
        result = {"content": [{"type": "text", "text": text}]}
        await _reply(send, 200, {"jsonrpc": "2.0", "id": request_id, "result": result})
        self.count["answered"] += 1

    async def _hang(self) -> None:
        await asyncio.Event().wait()

    async def _watched(self, work: Any, receive: Receive, nonce: str) -> None:
        """Run a long call until it ends or its caller leaves, which is counted as `left` and noted by its nonce."""
        self.count["open"] += 1
        self.open.add(nonce)
        working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(receive())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            self.count["answered" if working.done() else "left"] += 1
            if nonce and not working.done():
                self.left[nonce] = time.monotonic()
        finally:
            self.count["open"] -= 1
            self.open.discard(nonce)
            working.cancel()
            leaving.cancel()


async def _stream(request_id: Any, arguments: dict[str, Any], send: Send) -> None:
    """`count` notifications (10), one each `interval_ms` (100), then the answer. Each says when it was sent."""
    count, interval_s = int(arguments.get("count", 10)), float(arguments.get("interval_ms", 100)) / 1000
    await send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
    clock = asyncio.get_running_loop().time
    due = clock()
    for number in range(count):
        data = {"number": number, "sent_at": time.monotonic()}  # uvloop's own clock has milliseconds only
        notice = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": data}}
        await send({"type": "http.response.body", "body": _event(notice), "more_body": True})
        due += interval_s
        await asyncio.sleep(max(0.0, due - clock()))
    result = {"content": [{"type": "text", "text": json.dumps({"events": count})}]}
    await send({"type": "http.response.body", "body": _event({"jsonrpc": "2.0", "id": request_id, "result": result})})


async def _standing(send: Send, interval_s: float) -> None:
    """A GET stream without end: a notification each `interval_s`; at 0, a KiB as soon as the last one is taken."""
    await send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
    data = "still here" if interval_s else "x" * 1000
    notice = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": data}}
    while True:
        await send({"type": "http.response.body", "body": _event(notice), "more_body": True})
        await asyncio.sleep(interval_s)


def _event(document: dict[str, Any]) -> bytes:
    return b"event: message\ndata: " + json.dumps(document).encode() + b"\n\n"


def _session_of(scope: dict[str, Any]) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"mcp-session-id"), "")


async def _reply(send: Send, status: int, document: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = b"" if document is None else json.dumps(document).encode()
    sized = [*JSON_HEADERS, (b"content-length", str(len(body)).encode()), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="wait before each answer to a tools/call")
    parser.add_argument("--sessions", action="store_true", help="keep sessions; answer 404 to unknown ones")
    parser.add_argument("--standing", action="store_true", help="offer a standing stream at GET")
    parser.add_argument("--interval-ms", type=float, default=200.0, help="between the events of a standing stream")
    options = parser.parse_args()
    standing = options.interval_ms / 1000 if options.standing else None
    app = EchoFast(delay_s=options.delay_ms / 1000, sessions=options.sessions, standing=standing)
    serve_asgi(app, options.port, "/mcp", http="httptools", loop="uvloop", lifespan="off")


if __name__ == "__main__":
    main()
