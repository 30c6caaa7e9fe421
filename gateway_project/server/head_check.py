"""What a request's head must be before anything else reads it: one host, one framing, a version that we speak."""

from __future__ import annotations

import urllib.parse
from functools import lru_cache

import httptools

from gateway_project.server.refusal import BAD_REQUEST, NOT_IMPLEMENTED, Refused

# A longer target is not remembered: 512 of them must not hold much.
_REMEMBERED_BYTES = 256


def check_head(url: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bool:
    """Raise Refused for a head that two readers could read differently; return whether its sender waits for a 100.

    `headers` has lower-case names. RFC 9112: section 3.2 (Host), 3.2.2 (absolute form), 6.1 (Transfer-Encoding;
    only `chunked` alone is understood here, so any other coding is 501). RFC 9110: section 10.1.1 (Expect).
    """
    values = dict(headers)
    if len(values) != len(headers):
        names = [name for name, _ in headers]
        if names.count(b"host") > 1 or names.count(b"transfer-encoding") > 1:
            raise Refused(BAD_REQUEST)
    host, transfer_encoding = values.get(b"host"), values.get(b"transfer-encoding")
    if version != "1.1":
        if version != "1.0" or transfer_encoding is not None:
            raise Refused(BAD_REQUEST)
    elif host is None:
        raise Refused(BAD_REQUEST)
    if transfer_encoding is not None and transfer_encoding.lower() != b"chunked":
        raise Refused(NOT_IMPLEMENTED)
    if url.find(b"#") >= 0:  # `in` raises and drops an error at each look, which costs ten times as much
        raise Refused(BAD_REQUEST)  # no target has a fragment (RFC 9112 section 3.2); some readers cut it off
    if not url.startswith(b"/"):
        _check_target(url, host)
    return b"expect" in values and values[b"expect"].lower() == b"100-continue"


def _check_target(url: bytes, host: bytes | None) -> None:
    """Check a request target that is no path: `*`, or an absolute URL that names the same host."""
    if url == b"*":
        return
    scheme, separator, rest = url.partition(b"://")
    authority = rest.partition(b"/")[0].partition(b"?")[0]
    if not separator or scheme.lower() not in (b"http", b"https") or authority.lower() != (host or b"").lower():
        raise Refused(BAD_REQUEST)


def read_target(url: bytes) -> tuple[bytes, str, bytes]:
    """Return a target's raw path, decoded path and query. Raises HttpParserInvalidURLError.

    Clients ask for the same few targets again and again, so these are remembered.
    """
    return _known_target(url) if len(url) <= _REMEMBERED_BYTES else _read_target(url)


def _read_target(url: bytes) -> tuple[bytes, str, bytes]:
    parsed = httptools.parse_url(url)
    raw_path = parsed.path or b"/"
    path = raw_path.decode("ascii")
    return raw_path, urllib.parse.unquote(path) if "%" in path else path, parsed.query or b""


_known_target = lru_cache(512)(_read_target)
