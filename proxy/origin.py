"""Which Host and Origin headers are answered (DNS rebinding), and the CORS headers for allowed origins (D.17)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.http.request import split_domain_port, validate_host

from proxy.errors import GatewayError, Invalid
from proxy.head import Head

_CACHE_ENTRIES = 1024
_TOKEN = re.compile(rb"[a-z0-9-]{1,64}")
_ASKABLE = frozenset(
    b"authorization x-api-key content-type accept last-event-id x-request-id traceparent tracestate".split()
)
_EXPOSED = (
    b"Mcp-Session-Id, X-Request-Id, X-Response-Time-Ms, Retry-After, WWW-Authenticate, X-RateLimit-Limit,"
    b" X-RateLimit-Remaining, X-RateLimit-Reset, X-RateLimit-Policy"
)
Headers = list[tuple[bytes, bytes]]


class Forbidden(GatewayError):
    """A page of a foreign origin is calling (MCP 2026-07-28, transport: MUST answer 403)."""

    status = 403
    code = -32600
    outcome = "invalid"
    reason = "origin_forbidden"


class OriginPolicy:
    """Decides Host and Origin. Answers are remembered, so a usual request costs two look-ups."""

    def __init__(self, hosts: Sequence[str], origins: Sequence[str], public_url: str) -> None:
        self._hosts = list(hosts)
        self._origins = {origin.rstrip("/").lower().encode() for origin in origins}
        if public_url:
            parts = urlsplit(public_url)
            self._origins.add(f"{parts.scheme}://{parts.netloc}".lower().encode())
        self._known_hosts: dict[bytes, bool] = {}

    def check(self, head: Head) -> Headers:
        """Return the CORS headers that the answer carries; none for a caller that is no browser.

        Raises Invalid (421) for a Host that is not served here, Forbidden (403) for a foreign Origin.
        """
        host = head.values.get(b"host")
        if host is None or b"host" in head.repeated or not self._serves(host):
            raise Invalid(
                "This Host is not served here; add it to GATEWAY_ALLOWED_HOSTS or set GATEWAY_PUBLIC_URL.",
                reason="host_unknown",
                status=421,
            )
        origin = head.values.get(b"origin")
        if origin is None:
            return []
        folded = origin.lower()
        if b"origin" in head.repeated or (
            folded not in self._origins and folded not in (b"http://" + host.lower(), b"https://" + host.lower())
        ):
            raise Forbidden("This Origin may not call; add it to GATEWAY_ALLOWED_ORIGINS.")
        return [
            (b"access-control-allow-origin", origin),
            (b"vary", b"Origin"),
            (b"access-control-expose-headers", _EXPOSED),
        ]

    def _serves(self, host: bytes) -> bool:
        known = self._known_hosts.get(host)
        if known is None:
            domain, _ = split_domain_port(host.decode("latin-1"))
            known = bool(domain) and validate_host(domain, self._hosts)
            if len(self._known_hosts) >= _CACHE_ENTRIES:
                self._known_hosts.clear()
            self._known_hosts[host] = known
        return known


def preflight(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Return what a CORS preflight is told: verbs, and those of the asked headers that mean something here."""
    asked = next((value for name, value in headers if name == b"access-control-request-headers"), b"")
    names = [name.strip().lower() for name in asked.split(b",")][:50]
    granted = [name for name in names if name in _ASKABLE or (name.startswith(b"mcp-") and _TOKEN.fullmatch(name))]
    return [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", b", ".join(granted)),
        (b"access-control-max-age", b"600"),
    ]
