"""Liveness and readiness as plain ASGI: they answer while Postgres is away and while the process drains.

Strangers learn whether all is well. Which upstream is not learns who sends a key that reaches it; nobody, where it is.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.conf import settings

from namespaces import circuits
from namespaces.health import Health
from proxy import auth
from proxy.entries import KeyEntry
from proxy.errors import GatewayError, Unauthenticated
from proxy.exchange import Receive, Scope, Send
from proxy.head import Head
from proxy.health_board import is_degraded
from proxy.runtime import runtime

_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer /health (A.3), /live, /ready and /readyz (D.3, C.2) to anyone."""
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
    if path == "/readyz":
        await _readyz(scope, send, begun)
        return
    ready = runtime.ready
    await _answer(scope, send, begun, 200 if ready else 503, b"OK" if ready else b"KO", b"text/plain")


async def _readyz(scope: Scope, send: Send, begun: float) -> None:
    """Answer 200 healthy, 207 degraded when an upstream is not well (calls to the others are served), 503 not ready."""
    if not runtime.ready:
        state: dict[str, Any] = {"status": "draining" if runtime.draining else "starting"}
        await _answer(scope, send, begun, 503, json.dumps(state).encode(), b"application/json")
        return
    head = Head(scope["headers"])
    try:
        key = _bearer(scope, head)
    except GatewayError as error:
        told = {"error": {"reason": error.shown_reason or error.reason, "message": error.message}}
        body = json.dumps(told).encode()
        await _answer(scope, send, begun, error.status, body, b"application/json", *error.headers)
        return
    health = await runtime.health.health()
    status = 207 if is_degraded(health) else 200
    state = {"status": "degraded" if status == 207 else "healthy"}
    if key is not None:
        reachable = _reachable(key)
        seen = circuits.seen(reachable.values())
        state["upstreams"] = {
            slug: {
                "healthy": one not in (Health.OFFLINE, Health.DEGRADED),
                "health": one,
                "circuit_state": seen[reachable[slug]].state,
            }
            for slug, one in sorted(health.items())
            if slug in reachable
        }
        state["gateway_id"] = settings.GATEWAY_ID
    await _answer(scope, send, begun, status, json.dumps(state).encode(), b"application/json")


def _bearer(scope: Scope, head: Head) -> KeyEntry | None:
    """Return whose key was sent; None when none was. Raises GatewayError for a wrong one."""
    snapshot = runtime.usable
    if snapshot is None or not head.values.keys() & _CREDENTIALS:
        return None
    client = scope.get("client")
    address = client[0] if client else None
    try:
        return auth.authenticate(head, snapshot, runtime.peppers, time.time(), address)
    except Unauthenticated as error:
        raise runtime.strangers.judge(error, address, runtime.clock()) from None


def _reachable(key: KeyEntry) -> dict[str, int]:
    """Return the upstreams that the namespaces of a key mount: slug and number."""
    snapshot = runtime.usable
    if snapshot is None:
        return {}
    return {
        namespace.upstream.slug: namespace.upstream.id
        for slug, namespace in snapshot.namespaces.items()
        if namespace.upstream is not None and snapshot.access(key, slug) is not None
    }


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
