"""How a WebSocket is refused before it opens: as an HTTP answer where the server can, else by closing it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

Send = Callable[[Any], Awaitable[None]]


async def refuse(
    scope: Mapping[str, Any],
    send: Send,
    status: int,
    reason: str,
    message: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer the handshake with `status` and `{"error": reason, "message": message}` (ASGI: websocket.http.response).

    Args: headers: more of them, in lower case. A server without that extension (Daphne) answers 403 by itself.
    """
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = msgspec.json.encode({"error": reason, "message": message})
    start = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        (b"x-request-id", uuid.uuid4().hex.encode()),
        *headers,
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": start})
    await send({"type": "websocket.http.response.body", "body": body})
