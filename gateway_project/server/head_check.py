"""What a request's head must be before anything else reads it: one host, one framing, a version that we speak."""

from __future__ import annotations


class Refused(Exception):
    """The head must not reach the application; `status` is the status line's end."""

    def __init__(self, status: bytes) -> None:
        super().__init__(status)
        self.status = status


_BAD_REQUEST = b"400 Bad Request"
_NOT_IMPLEMENTED = b"501 Not Implemented"


def check_head(url: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Raise Refused for a head that two readers could read differently.

    `headers` has lower-case names. RFC 9112: section 3.2 (Host), 3.2.2 (absolute form), 6.1 (Transfer-Encoding;
    only `chunked` alone is understood here, so any other coding is 501).
    """
    host: bytes | None = None
    transfer_encoding: bytes | None = None
    for name, value in headers:
        if name == b"host":
            if host is not None:
                raise Refused(_BAD_REQUEST)
            host = value
        elif name == b"transfer-encoding":
            if transfer_encoding is not None:
                raise Refused(_BAD_REQUEST)
            transfer_encoding = value
    if version != "1.1":
        if version != "1.0" or transfer_encoding is not None:
            raise Refused(_BAD_REQUEST)
    elif host is None:
        raise Refused(_BAD_REQUEST)
    if transfer_encoding is not None and transfer_encoding.lower() != b"chunked":
        raise Refused(_NOT_IMPLEMENTED)
    if b"#" in url:
        raise Refused(_BAD_REQUEST)  # no target has a fragment (RFC 9112 section 3.2); some readers cut it off
    if not url.startswith(b"/"):
        _check_target(url, host)


def _check_target(url: bytes, host: bytes | None) -> None:
    """Check a request target that is no path: `*`, or an absolute URL that names the same host."""
    if url == b"*":
        return
    scheme, separator, rest = url.partition(b"://")
    authority = rest.partition(b"/")[0].partition(b"?")[0]
    if not separator or scheme.lower() not in (b"http", b"https") or authority.lower() != (host or b"").lower():
        raise Refused(_BAD_REQUEST)
