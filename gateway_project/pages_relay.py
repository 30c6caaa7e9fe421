"""Hands requests for pages to the process that makes them; a worker's event loop only carries the bytes."""

from __future__ import annotations

import asyncio
import html
import logging
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpcore
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from gateway_project.socket_path import short_path

logger = logging.getLogger("gateway.pages")
# What is said hop by hop (RFC 9110 section 7.6.1), and what only we may say about the client.
_OWN = frozenset(
    b"connection keep-alive proxy-connection te trailer upgrade expect forwarded x-forwarded-for x-forwarded-proto"
    b" x-forwarded-host x-forwarded-port x-real-ip".split()
)
_BODY = frozenset((b"content-length", b"transfer-encoding"))
_FRAMING = frozenset((b"connection", b"keep-alive", b"transfer-encoding"))
# More than browsers of a team ask for at a time; what comes beyond is told to come back.
MAX_OPEN = 100
# Some pages talk to upstreams (Test connection) before they answer.
_TIMEOUT_S = {"connect": 5.0, "read": 120.0, "write": 60.0}
_ORIGIN = httpcore.Origin(b"http", b"pages", 80)
_FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class ClientLeft(Exception):
    """The client closed its connection."""


class PagesRelay:
    """An ASGI application that passes each request on over a Unix socket, on a connection of its own."""

    def __init__(self, socket_path: str) -> None:
        """Take the path of the socket; its directory is there already."""
        self._directory = os.open(os.path.dirname(socket_path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._address = short_path(self._directory, os.path.basename(socket_path))
        self._open = 0

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Relay one HTTP request."""
        request: dict[str, Any] = dict(scope)
        if self._open >= MAX_OPEN:
            await _refuse(request, send, "busy", "Too many pages are being made; try again in a moment.")
            return
        self._open += 1
        body = _Body(receive)
        relaying = asyncio.ensure_future(self._relay(request, body, send))
        leaving = asyncio.ensure_future(body.left())
        try:
            await asyncio.wait((relaying, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not relaying.done():
                return
            await self._judge(request, relaying, send)
        finally:
            self._open -= 1
            for task in (relaying, leaving):
                task.cancel()
            await asyncio.gather(relaying, leaving, return_exceptions=True)

    async def _judge(self, request: dict[str, Any], relaying: asyncio.Future[None], send: ASGISendCallable) -> None:
        """Say so where the answer did not begin; break it off where it did, so that nobody takes it for whole."""
        try:
            relaying.result()
        except ClientLeft:
            return
        except _Unanswered as error:
            logger.warning("no page was made: %s", error)
            await _refuse(request, send, "pages_away", "The pages are starting again; calls are served meanwhile.")
        except _FAILURES as error:
            connection = (request.get("extensions") or {}).get("gateway.connection")
            if connection is None:
                raise
            logger.warning("a page broke off: %s", type(error).__name__)
            connection.transport.abort()

    async def _relay(self, request: dict[str, Any], body: _Body, send: ASGISendCallable) -> None:
        # No pool: a connection costs little beside a page, and a client's leaving has nothing to lose a place in.
        async with httpcore.AsyncHTTPConnection(_ORIGIN, uds=self._address) as connection:
            try:
                answer = await connection.handle_async_request(_outgoing(request, body))
            except _FAILURES as error:
                raise _Unanswered(type(error).__name__) from None
            headers = [(name.lower(), value) for name, value in answer.headers if name.lower() not in _FRAMING]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers, "trailers": False})
            async for chunk in answer.aiter_stream():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Unanswered(Exception):
    """The process that makes pages gave no answer; the text says how it failed."""


class _Body:
    """The request's body as it arrives, and after its end the word that the client has left."""

    def __init__(self, receive: ASGIReceiveCallable) -> None:
        self._receive = receive
        self._gone = asyncio.Event()
        self._read = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            event: Any = await self._receive()
            if event["type"] == "http.disconnect":
                self._gone.set()
                raise ClientLeft
            more = event.get("more_body", False)
            if event.get("body"):
                yield event["body"]
        self._read.set()

    async def left(self) -> None:
        """Return when the client has left. Until the body is read, its reader learns of that."""
        read, gone = (asyncio.ensure_future(event.wait()) for event in (self._read, self._gone))
        try:
            await asyncio.wait((read, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            read.cancel()
            gone.cancel()
        while not self._gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self._gone.set()


def _outgoing(request: dict[str, Any], body: _Body) -> httpcore.Request:
    """Return the request as the pages' process gets it: the target as it came, and who the client is."""
    client = request.get("client")
    names = {name for name, _ in request["headers"]}
    # Of a request to switch protocols no body is read, whatever it says of one.
    dropped = _OWN | _BODY if b"upgrade" in names else _OWN
    headers = [(name, value) for name, value in request["headers"] if name not in dropped]
    if client:
        headers.append((b"x-forwarded-for", client[0].encode()))
    headers += [(b"x-forwarded-proto", request["scheme"].encode()), (b"connection", b"close")]
    query = request.get("query_string")
    target = request["raw_path"] + (b"?" + query if query else b"")
    url = httpcore.URL(scheme=b"http", host=b"pages", port=80, target=target)
    return httpcore.Request(request["method"], url, headers=headers, content=body, extensions={"timeout": _TIMEOUT_S})


async def _refuse(request: dict[str, Any], send: ASGISendCallable, reason: str, message: str) -> None:
    """Answer 503 in the shape that the asker reads."""
    accept = next((value for name, value in request["headers"] if name == b"accept"), b"")
    if b"text/html" in accept:
        kind = b"text/html; charset=utf-8"
        text = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
            f"<title>One moment</title><p>{html.escape(message)} This page tries again by itself.</p></html>"
        )
    else:
        kind = b"application/json"
        text = f'{{"error": {{"reason": "{reason}", "message": "{message}"}}}}'
    body = text.encode()
    length = str(len(body)).encode()
    headers = [
        (b"content-type", kind),
        (b"content-length", length),
        (b"retry-after", b"2"),
        (b"cache-control", b"no-store"),
    ]
    with suppress(OSError):
        await send({"type": "http.response.start", "status": 503, "headers": headers, "trailers": False})
        await send({"type": "http.response.body", "body": body, "more_body": False})
