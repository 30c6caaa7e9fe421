"""The least that any Python gateway does: read the body, POST it on with aiohttp, return the answer's body.

The yardstick of `make bench`. Run by uvicorn (httptools, uvloop, no access log). BARE_UPSTREAM is where a request's
path is put behind; a request for /events goes to BARE_STREAMS and its answer is passed on piece by piece.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp

UPSTREAM = os.environ.get("BARE_UPSTREAM", "")
STREAMS = os.environ.get("BARE_STREAMS", "")
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
    if scope["path"] == "/events":
        passing = _stream(_session, scope["method"], body, send)
        await (passing if scope["method"] == "POST" else _until_left(passing, receive))
        return
    async with _session.post(
        UPSTREAM + scope["path"], data=body, headers={"Content-Type": "application/json"}
    ) as answer:
        content = await answer.read()
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": answer.status, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": content})


async def _until_left(passing: Coroutine[Any, Any, None], receive: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Do this until its end or until the client has left; a silent stream would never notice."""
    working, leaving = asyncio.ensure_future(passing), asyncio.ensure_future(receive())
    await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    leaving.cancel()


async def _stream(
    session: aiohttp.ClientSession, method: str, body: bytes, send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    """Pass an event stream through as it comes."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    async with session.request(method, STREAMS, data=body, headers=headers) as answer:
        kind = [(b"content-type", answer.headers["Content-Type"].encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": kind})
        async for piece in answer.content.iter_any():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
