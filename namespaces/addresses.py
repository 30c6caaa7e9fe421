"""The addresses that people and clients use for this gateway."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def gateway_url(request: HttpRequest) -> str:
    """Return the gateway's public URL without a slash at its end: GATEWAY_PUBLIC_URL, else as the browser sees it."""
    return settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"


def namespace_url(request: HttpRequest, slug: str) -> str:
    """Return the URL that clients of a namespace call."""
    return f"{gateway_url(request)}/mcp/{slug}"
