"""The HTTP client of the control plane: it connects only to addresses that the egress rules have checked."""

from __future__ import annotations

import ssl
from functools import lru_cache

import httpx

from namespaces import egress

USER_AGENT = "mcp-gateway/0.1"


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Return the one TLS context: the system's trust store, as on the data plane. Building it takes 20 ms."""
    return ssl.create_default_context()


class CheckedTransport(httpx.AsyncBaseTransport):
    """Resolves a host once, checks every address, and connects to the checked address itself.

    The Host header and the TLS server name stay those of the URL, so that neither a second look-up of the
    name nor a rebinding DNS server can lead anywhere else.
    """

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=tls_context(), trust_env=False, retries=0)
        self._addresses: dict[tuple[str, int], list[str]] = {}
        self.last_address = ""  # for error messages

    async def _resolve(self, host: str, port: int) -> list[str]:
        known = self._addresses.get((host, port))
        if known is None:
            known = [address for _, address in await egress.resolve(host, port)]
            self._addresses[host, port] = known
        return known

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` to the first checked address that takes a connection.

        Raises EgressError, OSError when the name does not resolve, and httpx.TransportError.
        """
        host, url = request.url.host, request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._resolve(host, port)
        for address in addresses:
            self.last_address = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            pinned = httpx.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,  # carries the Host of the URL as written
                stream=request.stream,
                extensions=request.extensions | {"sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent yet, so the next address may be tried.
                if address == addresses[-1]:
                    raise
        raise httpx.ConnectError(f"{host} has no address.", request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def client(transport: CheckedTransport, timeout: httpx.Timeout) -> httpx.AsyncClient:
    """Return a client that follows no redirect, reads no proxy settings, keeps no cookies of its own making."""
    return httpx.AsyncClient(
        transport=transport,
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
    )
