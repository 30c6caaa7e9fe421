"""The head of an upstream's answer: the few headers that the gateway reads, out of bytes that llhttp has accepted."""

from __future__ import annotations

import re

from proxy.errors import UpstreamFailed

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 200
# The headers that mean something to the gateway. Others are counted and forgotten.
_READ = re.compile(
    rb"\r\n(content-type|content-length|content-encoding|transfer-encoding|mcp-session-id|retry-after|keep-alive)"
    rb":([^\r]*)",
    re.IGNORECASE,
)


def broken() -> UpstreamFailed:
    """Return the error for bytes that are no HTTP/1.1 answer."""
    return UpstreamFailed("The upstream's answer is not valid HTTP.", reason="upstream_broken")


def read_head(head: bytes) -> dict[str, str]:
    """Return the values by lower-case name; those of copies are joined.

    `head` is what stands before the blank line, and its syntax is llhttp's business: each of its lines ends in CRLF
    and has a colon. Taken apart here, because a callback for each line costs several times as much. Raises
    UpstreamFailed when it is too large, or when a line goes on in the next one (RFC 9112 section 5.2).
    """
    # Not by `in`, which raises and drops an error at each look at bytes.
    if len(head) > MAX_HEAD_BYTES or head.find(b"\r\n ") >= 0 or head.find(b"\r\n\t") >= 0:
        raise broken()
    if head.count(b"\r\n") > MAX_HEADERS:
        raise broken()
    headers: dict[str, str] = {}
    for name, value in _READ.findall(head):
        key, text = name.decode().lower(), value.decode("latin-1").strip(" \t")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
