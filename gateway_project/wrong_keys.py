"""Counts wrong keys at the REST API together with those at /mcp, so that guessing at two doors is not twice as fast."""

from __future__ import annotations

import json
from typing import Any

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

from proxy.auth import credential
from proxy.errors import GatewayError, Limited, Unauthenticated
from proxy.head import Head
from proxy.runtime import Runtime

# Of the answer that is replaced; what it says of the request (its id, its duration) stays.
_ABOUT_THE_BODY = frozenset((b"content-type", b"content-length", b"content-encoding", b"www-authenticate", b"vary"))


class WrongKeys:
    """Lets requests through to Django, and turns its 401 for a key into 429 where an address has sent too many.

    The worker decides: it has the table that all workers of the host share, and the address of the client.
    """

    def __init__(self, app: ASGI3Application, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one HTTP request."""
        request: Any = scope
        wrong = _if_wrong(request)
        if wrong is None:
            await self.app(scope, receive, send)
            return
        refused = False

        async def judged(message: Any) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] == 401:
                error = await self._judge(wrong, request)
                if isinstance(error, Limited):
                    refused = True
                    await _refuse(request, send, error, message["headers"])
            if not refused:
                await send(message)

        await self.app(scope, receive, judged)

    async def _judge(self, wrong: Unauthenticated, request: Any) -> GatewayError:
        if not self.runtime.started:  # a server without lifespan
            await self.runtime.start()
        client = request.get("client")
        return self.runtime.strangers.judge(wrong, client[0] if client else None, self.runtime.clock())


def _if_wrong(request: Any) -> Unauthenticated | None:
    """Return what to count when the request is answered 401; None when it carries no key."""
    try:
        credential(Head(request["headers"]))
    except Unauthenticated as error:
        return None if error.reason == "credential_missing" else error
    return Unauthenticated("The key is not known.", reason="credential_unknown")


async def _refuse(request: Any, send: Any, error: Limited, headers: Any) -> None:
    """Answer 429 in the shape of the REST API's errors."""
    body = json.dumps({"error": {"reason": error.reason, "message": error.message}}).encode()
    kept = [(name, value) for name, value in headers if name.lower() not in _ABOUT_THE_BODY]
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *error.headers]
    await send({"type": "http.response.start", "status": error.status, "headers": [*kept, *own], "trailers": False})
    body = b"" if request["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": body, "more_body": False})
