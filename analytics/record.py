"""One call as the request log keeps it. A plain value: the data plane fills it, the journal writes it."""

from __future__ import annotations

from dataclasses import dataclass

OUTCOMES = (
    "ok",
    "tool_error",
    "rpc_error",
    "denied",
    "limited",
    "unauthenticated",
    "invalid",
    "upstream_error",
    "timeout",
    "client_gone",
    "unavailable",
)


@dataclass(slots=True)
class RequestRecord:
    """A call, a refusal, or the opening or closing of a stream.

    `id` is 32 hex digits; `at` is seconds since 1970 (UTC) when the request began; durations are whole
    microseconds (`first_byte_us` until the upstream's answer began; `auth_us` from the beginning until the caller was
    known, `limit_us` from the beginning until rules and limits had let the call pass); sizes are bytes of the bodies;
    `session` is a hash, never the id itself; `reason` refines the outcome with a code. For the two rows of a long
    stream `reason` is `opened` and `closed`; counts of calls leave `opened` out.
    """

    id: str
    at: float
    namespace: str | None = None
    upstream: str | None = None
    key_id: int | None = None
    user_id: str | None = None
    method: str | None = None
    tool: str | None = None
    outcome: str = "ok"
    reason: str | None = None
    http_status: int = 0
    jsonrpc_code: int | None = None
    total_us: int = 0
    upstream_us: int | None = None
    first_byte_us: int | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    protocol_version: str | None = None
    client_name: str | None = None
    session: str | None = None
    client_address: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    auth_us: int | None = None
    limit_us: int | None = None
