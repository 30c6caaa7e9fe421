"""Who gets as far as the live view: Host, Origin and credential of a WebSocket handshake, by the data plane's rules."""

from __future__ import annotations

import time
from typing import Any

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.http import parse_cookie

from analytics.live_caller import KeyCaller
from analytics.live_refusal import refuse
from proxy.auth import credential
from proxy.errors import GatewayError, Invalid, NotFound, Unauthenticated, Unavailable
from proxy.head import Head
from proxy.origin import Forbidden
from proxy.runtime import Runtime

PATH = "/ws/live"
_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))
# Handshakes that look at the database at one time; they share a thread.
_MAX_DECIDING = 100


class LiveDoor:
    """Lets handshakes for `/ws/live` on to the live view's consumer, and refuses all others before they open."""

    def __init__(self, consumer: ASGI3Application, runtime: Runtime) -> None:
        self._with_key = consumer
        self._with_session = AuthMiddlewareStack(consumer)
        self._runtime = runtime
        self._deciding = 0

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Decide on one handshake."""
        handshake: dict[str, Any] = dict(scope)
        try:
            if not self._runtime.started:
                await self._runtime.start()
            application = await self._admit(handshake, Head(handshake["headers"]))
            await application(handshake, receive, send)  # type: ignore[arg-type]
        except GatewayError as error:
            await receive()
            await refuse(handshake, send, error.status, error.reason, error.message, error.headers)
        except DatabaseError:
            # Only before the socket opened: what comes later is the consumer's own.
            await receive()
            await refuse(handshake, send, 503, "database_away", "The database is away; try again later.")

    async def _admit(self, handshake: dict[str, Any], head: Head) -> Any:
        """Return the application for the handshake, which learns of a key's bearer. Raises GatewayError."""
        if self._runtime.draining:
            raise Unavailable("The gateway is stopping; connect again.", reason="draining")
        if handshake["path"] != PATH or handshake.get("raw_path", PATH.encode()) != PATH.encode():
            raise NotFound("There is no WebSocket here.", reason="not_found")
        self._runtime.origin.check(head)
        if handshake.get("query_string"):
            # Keys end up in URLs, and URLs in logs; filters are messages.
            raise Invalid("This address takes no query: send a key as a header, a filter as a message.")
        if head.values.keys() & _CREDENTIALS:
            handshake["live_caller"] = await self._bearer(handshake, credential(head))
            return self._with_key
        if b"origin" not in head.values:
            # Browsers always send it; a cookie without it comes from something that should have a key.
            raise Forbidden("Without an API key a WebSocket must say its Origin.", reason="origin_missing")
        if not _session_cookie(handshake["headers"]):
            raise Unauthenticated("Sign in, or send an API key.", reason="credential_missing")
        return self._counted(self._with_session)

    async def _bearer(self, handshake: dict[str, Any], token: bytes) -> KeyCaller:
        """Return the bearer of a key. Raises Unauthenticated, or Limited when wrong ones come too often."""
        plaintext = token.decode("utf-8", "replace")
        client = handshake.get("client")
        caller = KeyCaller(plaintext, client[0] if client else None)
        if await database_sync_to_async(caller.key)() is not None:
            return caller
        error = Unauthenticated("The key is unknown, expired or revoked.", reason="credential_unknown")
        raise self._runtime.strangers.judge(error, client[0] if client else None, time.monotonic())

    def _counted(self, application: Any) -> Any:
        """Return the application behind a bound on how many sessions are looked up at one time."""
        if self._deciding >= _MAX_DECIDING:
            raise Unavailable("Too many handshakes at one time; try again.", reason="busy")

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            decided = False

            async def watched_send(message: Any) -> None:
                nonlocal decided
                if not decided:
                    decided = True
                    self._deciding -= 1
                await send(message)

            self._deciding += 1
            try:
                await application(scope, receive, watched_send)
            finally:
                if not decided:
                    self._deciding -= 1

        return counted


def _session_cookie(headers: Any) -> bool:
    """Return whether a cookie names a session, so that who has none costs no look into the database."""
    cookies = next((value for name, value in headers if name == b"cookie"), b"")
    return bool(parse_cookie(cookies.decode("latin-1")).get(settings.SESSION_COOKIE_NAME))
