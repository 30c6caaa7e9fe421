"""A limit on request bodies outside Django, which would read any length to disk before its first middleware."""

from __future__ import annotations

import uuid
from typing import Any, cast

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, Scope


class BodyLimit:
    """Answers 413 with `Connection: close` as soon as a body is known to exceed `max_bytes`."""

    def __init__(self, app: ASGI3Application, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Pass the request on, or refuse it by its Content-Length, or stop it when too many bytes came."""
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")  # type: ignore[typeddict-item]
        if not declared.isdigit() or int(declared) > self.max_bytes:
            await _refuse(send, self.max_bytes)
            return
        received = 0
        refused = answering = False

        async def counted_receive() -> ASGIReceiveEvent:
            nonlocal received, refused
            message: Any = await receive()
            received += len(message.get("body", b""))
            if received <= self.max_bytes:
                return cast("ASGIReceiveEvent", message)
            if not refused and not answering:
                refused = True
                await _refuse(send, self.max_bytes)
            return {"type": "http.disconnect"}

        async def watched_send(message: Any) -> None:
            nonlocal answering
            if not refused:
                answering = True
                await send(message)

        await self.app(scope, counted_receive, watched_send)


async def _refuse(send: Any, max_bytes: int) -> None:
    body = b'{"error": "payload_too_large", "message": "The request body may hold %d bytes."}' % max_bytes
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", uuid.uuid4().hex.encode()),
        (b"x-response-time-ms", b"0"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
