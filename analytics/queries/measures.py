"""What the queries return: plain values, the same for every question."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Measures:
    """Calls added up. Times are milliseconds and None where there was no call; sizes are bytes of the bodies."""

    calls: int = 0
    errors: int = 0  # whatever did not end `ok`
    avg_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    request_bytes: int = 0
    response_bytes: int = 0

    @property
    def error_rate(self) -> float:
        """The share of calls that did not end `ok`, 0 to 1."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """The calls of one bucket of a time series, which begins at `at`."""

    at: datetime
    measures: Measures


@dataclass(frozen=True, slots=True)
class Group:
    """The calls of one user, tool, namespace …; `names` holds what it was grouped by."""

    names: Mapping[str, str | int]
    measures: Measures
    users: int | None = None  # how many different users, where that was asked for


@dataclass(frozen=True, slots=True)
class Ending:
    """How calls ended: an outcome, its finer reason (None for `ok` and where there is none), and how many."""

    outcome: str
    reason: str | None
    calls: int


@dataclass(frozen=True, slots=True)
class Call:
    """One row of the request log. Times are microseconds. `client_address` is None for those who may not see it."""

    id: uuid.UUID
    at: datetime
    namespace: str | None
    upstream: str | None
    key_id: int | None
    user_id: str | None
    method: str | None
    tool: str | None
    outcome: str
    reason: str | None
    http_status: int
    jsonrpc_code: int | None
    total_us: int
    auth_us: int | None
    limit_us: int | None
    upstream_us: int | None
    first_byte_us: int | None
    request_bytes: int
    response_bytes: int
    protocol_version: str | None
    client_name: str | None
    session: str | None
    client_address: str | None
    request_id: str | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls, the newest first, and where the next older page begins (None: there is none)."""

    calls: list[Call] = field(default_factory=list)
    next_cursor: str | None = None
