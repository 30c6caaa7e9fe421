"""A legacy MCP upstream whose only tool takes `steps` quarter seconds and sends a notification at each.

Run: `python -m tests.upstreams.progressing --port 0`. `kind` chooses the notification: progress (default) or message.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.upstreams.listening import serve_asgi

STEP_S = 0.25
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve one request."""
    body = (message := await receive()).get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    request = json.loads(body) if body else {}
    if request.get("method") == "tools/call":
        await _work(request, send)
    elif request.get("method") == "initialize":
        info = {"name": "progressing", "version": "1.0.0"}
        capabilities: dict[str, Any] = {"tools": {}}
        result = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info}
        await _reply(send, 200, {"jsonrpc": "2.0", "id": request["id"], "result": result})
    else:
        await _reply(send, 202 if scope["method"] == "POST" else 405, None)


async def _work(request: dict[str, Any], send: Send) -> None:
    arguments = request["params"].get("arguments") or {}
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for step in range(int(arguments.get("steps", 1))):
        await asyncio.sleep(STEP_S)
        params = {"progressToken": 1, "progress": step, "level": "info", "data": step}
        method = f"notifications/{arguments.get('kind', 'progress')}"
        await _event(send, {"jsonrpc": "2.0", "method": method, "params": params}, True)
    result = {"content": [{"type": "text", "text": "done"}]}
    await _event(send, {"jsonrpc": "2.0", "id": request["id"], "result": result}, False)


async def _event(send: Send, document: dict[str, Any], more: bool) -> None:
    data = b"event: message\ndata: " + json.dumps(document).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _reply(send: Send, status: int, document: Any) -> None:
    body = b"" if document is None else json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    serve_asgi(app, parser.parse_args().port, "/mcp", http="httptools", loop="uvloop", lifespan="off")


if __name__ == "__main__":
    main()
