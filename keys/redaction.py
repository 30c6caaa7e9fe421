"""One function that takes secrets out of text before it is logged, stored or shown. Pure."""

from __future__ import annotations

import re

MASK = "••••"
_PATTERNS = (
    # Our own keys, wherever they stand.
    re.compile(r"mcpgw_[0-9A-Za-z]{6,}"),
    # `Authorization: Bearer …`, `x-api-key=…`, `"password": "…"` and their like: the name stays, the value goes.
    re.compile(
        r"""(?ix)((?:authorization|x-api-key|x-agent-token|api[_-]?key|access[_-]?token|refresh[_-]?token|token|secret
        |password|passwd|cookie|mcp-session-id)["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?)[^\s"',;&]+"""
    ),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"),
    # JSON web tokens and PEM blocks.
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    # The token in the link of a password reset.
    re.compile(r"(/accounts/reset/[^/\s]+/)(?!set-password)[^/\s]+"),
    # user:password@ in URLs.
    re.compile(r"(://)[^/\s:@]+:[^/\s@]+(?=@)"),
)
# A cheap test first: most lines hold none of these.
_HINT = re.compile(r"(?i)mcpgw_|auth|key|token|secret|passw|cookie|session|bearer|basic|eyJ|-----BEGIN|://|/reset/")


def redact(text: str) -> str:
    """Return `text` with every secret that can be recognised replaced by a mask."""
    if not _HINT.search(text):
        return text
    for pattern in _PATTERNS:
        text = pattern.sub(lambda match: (match.group(1) if match.lastindex else "") + MASK, text)
    return text
