"""`/metrics` as plain ASGI: it answers while PostgreSQL is away. Closed to strangers; see `_admit`."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections

from analytics.metrics.exposition import render
from analytics.metrics.upkeep import DatabaseFigures, read_database
from namespaces import networks
from proxy import auth
from proxy.errors import GatewayError, Invalid, NotFound, Unauthenticated
from proxy.exchange import Receive, Scope, Send
from proxy.head import Head
from proxy.runtime import runtime

DATABASE_PATIENCE_S = 2.0
_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))
_FORWARDING = frozenset((b"x-forwarded-for", b"x-real-ip", b"forwarded"))


class Forbidden(GatewayError):
    """A good key that may not read the figures of everybody."""

    status = 403
    reason = "forbidden"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the exposition, or say why not."""
    begun = time.monotonic()
    head = Head(scope["headers"])
    extra: tuple[tuple[bytes, bytes], ...] = ()
    try:
        await _admit(scope, head)
        accept = head.values.get(b"accept", b"").decode("latin-1")
        body, content_type = await asyncio.to_thread(render, accept, await _database.figures())
        status = 200
    except GatewayError as error:
        status, content_type, extra = error.status, "application/json", error.headers
        body = json.dumps({"error": {"reason": error.shown_reason or error.reason, "message": error.message}}).encode()
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-request-id", (head.request_id() or uuid4().hex).encode()),
        (b"x-response-time-ms", b"%.2f" % ((time.monotonic() - begun) * 1000)),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _admit(scope: Scope, head: Head) -> None:
    """Let in a key that sees everything, and without a key the networks of GATEWAY_METRICS. Raises GatewayError."""
    if not settings.METRICS_ENABLED:
        raise NotFound("There are no metrics here.", reason="not_found")
    if scope["method"] not in ("GET", "HEAD"):
        raise Invalid(
            "Metrics are read with GET.", reason="verb_unknown", status=405, headers=((b"allow", b"GET, HEAD"),)
        )
    if not runtime.started:
        await runtime.start()
    if scope.get("query_string"):
        auth.refuse_query_credentials(scope["query_string"])
    if not head.values.keys() & _CREDENTIALS and _is_near(scope):
        if not networks.address(_host_of(head)):
            # Only a name can be rebound to lead a page in somebody's browser here.
            runtime.origin.check(head)
        return
    snapshot = runtime.usable
    if snapshot is None:
        raise Unauthenticated("No key can be checked now; try again later.", reason="no_configuration")
    client = scope.get("client")
    address = client[0] if client else None
    try:
        key = auth.authenticate(head, snapshot, runtime.peppers, time.time(), address)
    except Unauthenticated as error:
        raise runtime.strangers.judge(error, address, runtime.clock()) from None
    if not key.sees_all:
        raise Forbidden("Metrics are for keys that see everybody's calls; ask an admin for one.")


def _is_near(scope: Scope) -> bool:
    """Return whether the caller's address may read without a key.

    The address of a proxy that nobody trusts says nothing of who is behind it (uvicorn sets port 0 where it has
    put a trusted proxy's client in the proxy's place).
    """
    client = scope.get("client")
    if not settings.METRICS_NETWORKS or client is None:
        return False
    if client[1] != 0 and any(name in _FORWARDING for name, _ in scope["headers"]):
        return False
    return networks.holds(settings.METRICS_NETWORKS, networks.address(client[0]))


def _host_of(head: Head) -> str:
    """Return the Host header without its port and without the brackets of an IPv6 address."""
    host = head.values.get(b"host", b"").decode("latin-1")
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


class _Database:
    """Asks the database in a thread of its own, once at a time, and not for longer than a scrape may take."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "metrics")
        self._asking: asyncio.Future[DatabaseFigures | None] | None = None

    async def figures(self) -> DatabaseFigures | None:
        """Return what the database says; None when it does not answer in time."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().run_in_executor(self._thread, _ask)
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), DATABASE_PATIENCE_S)
        except TimeoutError:
            return None


def _ask() -> DatabaseFigures | None:
    try:
        return read_database()
    except DatabaseError:
        return None
    finally:
        connections.close_all()


_database = _Database()
