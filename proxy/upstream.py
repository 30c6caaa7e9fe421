"""The seam to upstream servers: one method, `send`, whose answer is read in chunks. aiohttp lives here only.

Nothing is retried, no redirect is followed, no cookie kept, no environment proxy used; the address that the
egress check approved is the one connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from namespaces import egress
from proxy.errors import UpstreamFailed, UpstreamTimeout

if TYPE_CHECKING:
    from proxy.snapshot import UpstreamEntry

# Servers commonly close an idle connection after 5 s, and a POST may not be repeated.
KEEP_ALIVE_S = 4.0
READ_AHEAD_BYTES = 64 * 1024
USER_AGENT = "mcp-gateway"
BOTH_TYPES = "application/json, text/event-stream"


class _CheckedResolver(AbstractResolver):
    """Resolves names through the egress check, so that the connection goes to an address that passed it."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await egress.resolve(host, port, family)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


class UpstreamAnswer:
    """An upstream's answer: status and headers are there, the body is read in chunks."""

    __slots__ = ("_body", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._body: bytes | None = None
        self.status = response.status
        self.headers = response.headers

    async def read(self, cap: int) -> bytes:
        """Return the whole body, also a second time. Raises UpstreamFailed above `cap` bytes or when it breaks off."""
        if self._body is None:
            self._body = await self._read(cap)
        return self._body

    async def _read(self, cap: int) -> bytes:
        length = self._response.content_length
        if length is not None and length > cap:
            raise UpstreamFailed("The upstream's answer is too large.", reason="answer_too_large")
        try:
            if length is not None:
                return await self._response.read()
            parts: list[bytes] = []
            size = 0
            async for chunk in self._response.content.iter_any():
                size += len(chunk)
                if size > cap:
                    raise UpstreamFailed("The upstream's answer is too large.", reason="answer_too_large")
                parts.append(chunk)
        except (aiohttp.ClientError, OSError) as error:
            raise translate(error) from None
        return b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises UpstreamFailed when it breaks off."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise translate(error) from None

    async def drain(self, grace_s: float) -> None:
        """Give the connection back if the body ends within `grace_s` seconds and 64 KiB, else close it."""
        left = READ_AHEAD_BYTES
        try:
            async with asyncio.timeout(grace_s):
                async for chunk in self._response.content.iter_any():
                    left -= len(chunk)
                    if left < 0:
                        break
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        self.close()

    def close(self) -> None:
        """Drop the connection unless the answer was read to its exact end."""
        self._response.close()


class UpstreamClient:
    """Connections to one upstream; a pool of its own, so that none waits for another's."""

    def __init__(self, entry: UpstreamEntry) -> None:
        self.identity = entry.identity
        self._url = URL(entry.url)
        # The client library copies its defaults faster than it merges a call's own headers.
        defaults: CIMultiDict[str] = CIMultiDict(entry.credentials)
        defaults.update({"Accept-Encoding": "identity", "User-Agent": USER_AGENT, "Accept": BOTH_TYPES})
        self._session = aiohttp.ClientSession(
            headers=defaults,
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEP_ALIVE_S, resolver=_CheckedResolver(), ttl_dns_cache=5
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=entry.deadlines.connect_s),
            read_bufsize=READ_AHEAD_BYTES,
            trust_env=False,
        )

    async def send(self, method: str, headers: dict[str, str], body: bytes | None) -> UpstreamAnswer:
        """Send one request and return its answer once the head is there.

        Args: method: HTTP verb; headers: protocol headers beside the upstream's own (Accept takes both types
        unless given); body: JSON or None.
        Raises UpstreamFailed (unreachable, broken head, forbidden status) or UpstreamTimeout (connect).
        Cancelling closes the connection at once.
        """
        try:
            response = await self._session.request(method, self._url, data=body, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, egress.EgressError, OSError, ValueError) as error:
            raise translate(error) from None
        if not 200 <= response.status <= 599:
            response.close()
            raise UpstreamFailed("The upstream answered with no valid status.", reason="upstream_status_invalid")
        encoding = response.headers.get("Content-Encoding")
        if encoding is not None and encoding.strip().lower() not in ("identity", ""):
            response.close()
            raise UpstreamFailed("The upstream compressed its answer unasked.", reason="upstream_encoding")
        return UpstreamAnswer(response)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


def translate(error: Exception) -> UpstreamFailed | UpstreamTimeout:
    """Return the gateway's error for one of the client library; its text names no address and no secret."""
    if isinstance(error, egress.EgressError):
        return UpstreamFailed("The gateway may not connect to the upstream's address.", reason=error.reason)
    if isinstance(error, aiohttp.ConnectionTimeoutError | TimeoutError):
        return UpstreamTimeout("The upstream did not accept a connection in time.", reason="connect_timeout")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return UpstreamFailed("The upstream's TLS certificate was refused.", reason="upstream_tls")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return UpstreamFailed("The upstream's host name does not resolve.", reason="upstream_dns")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamFailed("The upstream cannot be reached.", reason="upstream_unreachable")
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError):
        return UpstreamFailed("The upstream closed the connection.", reason="upstream_closed")
    return UpstreamFailed("The upstream's answer is not valid HTTP.", reason="upstream_broken")
