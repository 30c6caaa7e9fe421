"""The seam to upstream servers: one method, `send`, whose answer is read in chunks. A pool for each upstream.

Nothing is retried, no redirect is followed, no cookie kept, no environment proxy used; the address that the
egress check approved is the one connected to, and the certificate must be the named host's.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection

from namespaces import egress
from proxy.errors import UpstreamFailed, UpstreamTimeout
from proxy.upstream_connection import READ_AHEAD_BYTES, UpstreamConnection, closed

if TYPE_CHECKING:
    from proxy.entries import UpstreamEntry

# Servers commonly close an idle connection after 5 s, and a POST may not be repeated.
KEEP_ALIVE_S = 4.0
_KEPT = re.compile(r"(?:^|[,;\s])timeout=(\d{1,6})(?![^,;\s])", re.IGNORECASE)
SWEEP_S = 0.5
USER_AGENT = "mcp-gateway"
BOTH_TYPES = "application/json, text/event-stream"
# The next address is tried beside one that does not answer (RFC 8305).
HAPPY_EYEBALLS_DELAY_S = 0.25


class UpstreamAnswer:
    """An upstream's answer: status and headers (lower-case names) are there, the body is read in chunks.

    Its connection goes back as soon as the body has been read to its end, and is closed by a read that fails
    or is cancelled.
    """

    __slots__ = ("_body", "_client", "_connection", "_ended", "headers", "status")

    def __init__(self, client: UpstreamClient, connection: UpstreamConnection) -> None:
        self._client = client
        self._connection: UpstreamConnection | None = connection
        self._ended = False
        self._body: bytes | None = None
        self.status = connection.status
        self.headers = connection.headers

    async def read(self, cap: int, touch: Callable[[], None] | None = None) -> bytes:
        """Return the whole body, also a second time; `touch` is called for each piece of it.

        Raises UpstreamFailed above `cap` bytes or when it breaks off.
        """
        if self._body is None:
            connection = self._connection
            if connection is not None and connection.complete:  # all of it came at once
                self._body = connection.take()
                self.close()
                if len(self._body) > cap:
                    raise _too_large()
                return self._body
            declared = self.headers.get("content-length", "0")
            self._body = await self._gather(cap if declared.isdigit() and int(declared) <= cap else -1, touch)
        return self._body

    async def _gather(self, cap: int, touch: Callable[[], None] | None) -> bytes:
        first, rest = b"", bytearray()
        while cap >= 0 and (chunk := await self._next()):
            cap -= len(chunk)
            if touch is not None:
                touch()
            if first:
                # One buffer: in a list, bytes that drip in one by one would take thirty times their size.
                rest += chunk
            else:
                first = chunk
        if cap < 0:
            self.close()
            raise _too_large()
        return first + rest if rest else first

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the iterator over the body as it arrives. It raises UpstreamFailed when the body breaks off."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._next()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> bytes:
        """Return the next bytes of the body; empty at its end."""
        connection = self._connection
        if connection is None:
            if self._ended:
                return b""
            raise closed()
        try:
            chunk = await connection.read_some()
        except BaseException:
            self.close()
            raise
        if not chunk:
            self._ended = True
            self.close()
        return chunk

    async def drain(self, grace_s: float) -> None:
        """Give the connection back if the body ends within `grace_s` seconds and 64 KiB, else close it."""
        left = READ_AHEAD_BYTES
        try:
            async with asyncio.timeout(grace_s):
                while left >= 0 and (chunk := await self._next()):
                    left -= len(chunk)
        except (TimeoutError, UpstreamFailed):
            pass
        self.close()

    def close(self) -> None:
        """Drop the connection unless the answer was read to its exact end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._client.take_back(connection)


class UpstreamClient:
    """Connections to one upstream; a pool of its own, so that none waits for another's."""

    def __init__(self, entry: UpstreamEntry) -> None:
        self.identity = entry.identity
        parts = urlsplit(entry.url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connect_s = entry.deadlines.connect_s
        self._loop = asyncio.get_running_loop()
        self._idle: list[UpstreamConnection] = []
        self._closed = False
        self._lookup: asyncio.Future[Sequence[tuple[int, str]]] | None = None
        self._sweep: asyncio.TimerHandle | None = None
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        fixed = {"Host": parts.netloc, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in (*fixed.items(), *entry.credentials))
        self._begin = f" {path} HTTP/1.1\r\n{lines}"
        self._begin_post = f"POST{self._begin}Accept: {BOTH_TYPES}\r\nContent-Type: application/json\r\n"

    async def send(self, method: str, headers: dict[str, str], body: bytes | None) -> UpstreamAnswer:
        """Send one request and return its answer once the head is there.

        Args: method: HTTP verb; headers: protocol headers beside the upstream's own and Content-Type, names and
        values visible ASCII (Accept takes both types unless given); body: the JSON of a POST, or None.
        Raises UpstreamFailed (unreachable, broken head, forbidden status) or UpstreamTimeout (connect).
        Cancelling closes the connection at once.
        """
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
            raise UpstreamFailed("A header for the upstream holds a line break.", reason="upstream_broken")
        if body is not None:
            request = f"{self._begin_post}{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
        else:
            accept = "" if "Accept" in headers else f"Accept: {BOTH_TYPES}\r\n"
            request = f"{method}{self._begin}{accept}{lines}\r\n".encode("latin-1")
        connection = self._reuse() or await self._connect()
        try:
            connection.write(request)
            await connection.head()
            status = connection.status
            if not 200 <= status <= 599:
                raise UpstreamFailed("The upstream answered with no valid status.", reason="upstream_status_invalid")
            if connection.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
                raise UpstreamFailed("The upstream compressed its answer unasked.", reason="upstream_encoding")
        except BaseException:
            connection.abort()
            raise
        return UpstreamAnswer(self, connection)

    def _reuse(self) -> UpstreamConnection | None:
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_until > now:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> UpstreamConnection:
        """Resolve, check, connect, within the connect deadline."""
        try:
            async with asyncio.timeout(self._connect_s):
                addresses = await self._resolve()
                infos = [(family, 1, 6, "", (address, self._port)) for family, address in addresses]
                socket_ = await start_connection(
                    infos, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S, interleave=1, loop=self._loop
                )
                _, connection = await self._loop.create_connection(
                    lambda: UpstreamConnection(self._loop),
                    sock=socket_,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except (OSError, ValueError, RuntimeError) as error:
            # ValueError: a name that no resolver takes; RuntimeError: uvloop's word for some failed connects.
            raise translate(error) from None
        return connection

    async def _resolve(self) -> Sequence[tuple[int, str]]:
        """Resolve and check the host, one look-up at a time: a resolver that hangs must not hold all threads."""
        if self._lookup is None:
            self._lookup = asyncio.ensure_future(egress.resolve(self._host, self._port))
            self._lookup.add_done_callback(self._resolved)
        return await asyncio.shield(self._lookup)

    def _resolved(self, lookup: asyncio.Future[Sequence[tuple[int, str]]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # seen here, so that a failure with nobody waiting is no warning

    def take_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection whose answer was read to its exact end for the next request; close any other."""
        if not connection.release():
            return
        if self._closed:
            connection.abort()
            return
        hint = connection.headers.get("keep-alive")
        connection.idle_until = self._loop.time() + (KEEP_ALIVE_S if hint is None else keeps_for(hint))
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(SWEEP_S, self._close_idle)

    def _close_idle(self) -> None:
        """Close what has been idle for too long."""
        now = self._loop.time()
        idle, self._idle = self._idle, []
        for connection in idle:
            if connection.usable and connection.idle_until > now:
                self._idle.append(connection)
            else:
                connection.abort()
        self._sweep = self._loop.call_later(SWEEP_S, self._close_idle) if self._idle else None

    async def close(self) -> None:
        """Close every idle connection; those in use close with their answers."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in self._idle:
            connection.abort()
        self._idle.clear()


@lru_cache(256)
def keeps_for(hint: str) -> float:
    """Return for how long, in seconds, a connection may wait for its next request when the upstream sends this hint.

    `Keep-Alive: timeout=5` (RFC 2068 §19.7.1.1) says when the upstream closes it; a request that is on its way by then
    is lost, so ours ends a second earlier, or half-way where that is sooner.
    """
    found = _KEPT.search(hint)
    if found is None:
        return KEEP_ALIVE_S
    kept = float(found[1])
    return min(KEEP_ALIVE_S, max(kept - 1.0, kept / 2))


def _too_large() -> UpstreamFailed:
    return UpstreamFailed("The upstream's answer is too large.", reason="answer_too_large")


def translate(error: Exception) -> UpstreamFailed | UpstreamTimeout:
    """Return the gateway's error for a connection that could not be made; its text names no address."""
    if isinstance(error, egress.EgressError):
        return UpstreamFailed("The gateway may not connect to the upstream's address.", reason=error.reason)
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The upstream did not accept a connection in time.", reason="connect_timeout")
    if isinstance(error, ssl.SSLError):
        return UpstreamFailed("The upstream's TLS certificate was refused.", reason="upstream_tls")
    if isinstance(error, UnicodeError):
        return UpstreamFailed("The upstream's host name cannot be one.", reason="url_invalid")
    if isinstance(error, socket.gaierror):
        return UpstreamFailed("The upstream's host name does not resolve.", reason="upstream_dns")
    return UpstreamFailed("The upstream cannot be reached.", reason="upstream_unreachable")
