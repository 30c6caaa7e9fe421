"""Liveness and readiness as plain ASGI: they answer while Postgres is away and while the process drains."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from uuid import uuid4

from proxy.exchange import Receive, Scope, Send
from proxy.head import Head
from proxy.runtime import runtime


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer /health (A.3), /live, /ready and /readyz (D.3, C.2) to anyone; nothing here is a secret."""
    begun = time.monotonic()
    if scope["method"] not in ("GET", "HEAD"):
        await _answer(scope, send, begun, 405, b"", b"text/plain", (b"allow", b"GET, HEAD"))
        return
    if not runtime.started:
        await runtime.start()
    path = scope["path"].rstrip("/")
    if path in ("/live", "/health"):
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        healthy = json.dumps({"status": "healthy", "time": now}).encode()
        body, kind = (healthy, b"application/json") if path == "/health" else (b"OK", b"text/plain")
        await _answer(scope, send, begun, 200, body, kind)
        return
    ready = runtime.ready
    if path == "/readyz":
        state = {"status": "healthy" if ready else "draining" if runtime.draining else "starting"}
        await _answer(scope, send, begun, 200 if ready else 503, json.dumps(state).encode(), b"application/json")
        return
    await _answer(scope, send, begun, 200 if ready else 503, b"OK" if ready else b"KO", b"text/plain")


async def _answer(
    scope: Scope, send: Send, begun: float, status: int, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]
) -> None:
    given = Head(scope["headers"]).request_id()
    fixed = (
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-request-id", (given or uuid4().hex).encode()),
        (b"x-response-time-ms", b"%.2f" % ((time.monotonic() - begun) * 1000)),
    )
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
