"""What reached an upstream: a recorder of requests and of how they ended, read at GET /_seen, cleared by DELETE."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_KEPT = 256 * 1024  # bytes of each body that stay in the record
REQUESTS_KEPT = 20_000


class Seen:
    """Every request in the order of arrival; times are seconds of the wall clock, so another process can compare."""

    def __init__(self) -> None:
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self.closed: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self.open = 0

    def arrived(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> None:
        """Note one request; `headers` keep their order and repetitions."""
        entry: dict[str, Any] = {"at": time.time(), "method": method, "path": path, "headers": headers}
        entry["body"] = body[:BODY_KEPT].decode("utf-8", "backslashreplace")
        self.requests.append(entry | _envelope(body))

    def ended(self, path: str, how: str) -> None:
        """Note the end of an exchange: `finished`, or `disconnected` when the client left first."""
        self.closed.append({"at": time.time(), "path": path, "how": how})

    def clear(self) -> None:
        """Forget the past; exchanges still open stay counted."""
        self.requests.clear()
        self.closed.clear()

    def dump(self) -> bytes:
        """The JSON answer of GET /_seen: `{"open", "requests", "closed"}`."""
        document = {"open": self.open, "requests": list(self.requests), "closed": list(self.closed)}
        return json.dumps(document).encode()


def _envelope(body: bytes) -> dict[str, Any]:
    """The JSON-RPC method, name (or uri) and id of a body, null where there is none."""
    try:
        message = json.loads(body)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        return {"rpc_method": None, "name": None, "id": None}
    params = message.get("params")
    params = params if isinstance(params, dict) else {}
    return {
        "rpc_method": message.get("method"),
        "name": params.get("name", params.get("uri")),
        "id": message.get("id"),
    }


class SeenMiddleware:
    """Record what an ASGI application is asked, and serve the record."""

    def __init__(self, app: ASGIApp, seen: Seen) -> None:
        self.app = app
        self.seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/_seen":
            await self._answer(scope, send)
        else:
            await self._record(scope, receive, send)

    async def _answer(self, scope: Scope, send: Send) -> None:
        if scope["method"] == "DELETE":
            self.seen.clear()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.seen.dump()})

    async def _record(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, body = scope["path"], bytearray()
        last: Message = {"type": "http.disconnect"}
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body", False):
                last = message
                break
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self.seen.arrived(scope["method"], path, headers, bytes(body))
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        how = "finished" if last["type"] == "http.request" else "disconnected"
        done = False

        async def replay() -> Message:
            nonlocal how
            if pending:
                return pending.pop()
            message = await receive()
            if message["type"] == "http.disconnect" and not done:
                how = "disconnected"
            return message

        async def watch(message: Message) -> None:
            nonlocal done
            done = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        self.seen.open += 1
        try:
            await self.app(scope, replay, watch)
        finally:
            self.seen.open -= 1
            self.seen.ended(path, how)
