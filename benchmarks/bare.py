"""The least that any Python gateway does: read the body, POST it on with aiohttp, return the answer's body.

The yardstick of `make bench`. Run by uvicorn (httptools, uvloop, no access log); BARE_UPSTREAM names the target.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

UPSTREAM = os.environ.get("BARE_UPSTREAM", "")
_HEADERS = [(b"content-type", b"application/json")]
_session: aiohttp.ClientSession | None = None


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Pass one request through. Nothing is checked, nothing recorded."""
    global _session  # noqa: PLW0603 - one session a process, as aiohttp asks for
    if scope["type"] != "http":
        return
    if _session is None:
        _session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    async with _session.post(UPSTREAM, data=body, headers={"Content-Type": "application/json"}) as answer:
        content = await answer.read()
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": answer.status, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": content})
