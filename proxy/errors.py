"""Why a call was refused or failed. One tree; `responses.py` alone turns it into HTTP and JSON-RPC.

GatewayError
├── Unauthenticated          401  no or bad credential
├── NotFound                 404  namespace unknown or forbidden (alike), session unknown
├── Invalid                  400  malformed HTTP, JSON, JSON-RPC or MCP
├── Denied                   200  name outside the effective set
├── Quarantined              403  stopped by an admin: 503 for a server, 200 for a tool
├── Limited                  429  rate limit
├── UpstreamFailed           502  unreachable, or an answer that may not be passed on
├── UpstreamTimeout          504  a deadline passed
└── Unavailable              503  refused by the gateway itself
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.entries import KeyEntry

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
RESOURCE_NOT_FOUND = -32002
HEADER_MISMATCH = -32020
# Outside the range that JSON-RPC and MCP reserve (-32768…-32000).
RATE_LIMITED = -31429


class GatewayError(Exception):
    """An answer that the gateway itself gives.

    Class attributes are the defaults of a kind; `reason` is the code for logs and for `data.reason`.
    `message` goes to the client, so it never holds a secret or a hidden name. `shown_reason` is what the client is
    told instead of `reason` where it may not know that one. `key` is whose credential was refused, if that is known.
    """

    status = 502
    code = INTERNAL_ERROR
    outcome = "upstream_error"
    reason = "internal"
    shows_reason = True
    shown_reason: str | None = None
    key: KeyEntry | None = None
    answered: int | None = None  # the upstream's HTTP status, where it is the cause

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        status: int | None = None,
        code: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        data: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers
        self.data = data
        if reason is not None:
            self.reason = reason
        if status is not None:
            self.status = status
        if code is not None:
            self.code = code


class Unauthenticated(GatewayError):
    """No usable credential."""

    status = 401
    code = INVALID_REQUEST
    outcome = "unauthenticated"
    reason = "credential_missing"

    def __init__(self, message: str, *, reason: str) -> None:
        challenge = b'Bearer realm="mcp-gateway"'
        if reason != "credential_missing":
            challenge += b', error="invalid_token"'
        super().__init__(message, reason=reason, headers=((b"www-authenticate", challenge),))


class NotFound(GatewayError):
    """A namespace that is unknown or forbidden (the same words for both), or a session that is unknown."""

    status = 404
    code = INVALID_REQUEST
    outcome = "denied"
    reason = "namespace_unknown"


class Invalid(GatewayError):
    """A request that cannot be understood or that breaks the protocol."""

    status = 400
    code = INVALID_REQUEST
    outcome = "invalid"
    reason = "request_invalid"


class Denied(GatewayError):
    """A name outside the effective set. Worded as the unknown name that it is to this caller."""

    status = 200
    code = INVALID_PARAMS
    outcome = "denied"
    reason = "name_denied"
    shows_reason = False


class Quarantined(GatewayError):
    """An admin has stopped the caller, or what it calls."""

    status = 403
    code = INVALID_REQUEST
    outcome = "denied"
    reason = "key_quarantined"


class Limited(GatewayError):
    """A limit is used up; `reason` says of which kind."""

    status = 429
    code = RATE_LIMITED
    outcome = "limited"


class UpstreamFailed(GatewayError):
    """The upstream cannot be reached, or its answer is broken."""

    status = 502
    outcome = "upstream_error"
    reason = "upstream_broken"


class UpstreamTimeout(GatewayError):
    """A deadline passed before the upstream's answer was complete."""

    status = 504
    outcome = "timeout"
    reason = "total_timeout"


class Unavailable(GatewayError):
    """The gateway itself cannot serve this now."""

    status = 503
    outcome = "unavailable"
    reason = "unavailable"

    def __init__(
        self, message: str, *, reason: str, retry_after_s: int = 1, data: dict[str, object] | None = None
    ) -> None:
        super().__init__(message, reason=reason, headers=((b"retry-after", b"%d" % retry_after_s),), data=data)
