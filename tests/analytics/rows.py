"""Rows of the request log for tests, stored without journal or shipper."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from analytics.models import RequestLog


def make_partitions(*moments: datetime) -> None:
    """Make the partitions of these moments' days within the test's own transaction."""
    with connection.cursor() as cursor:
        for day in sorted({moment.astimezone(UTC).date() for moment in moments}):
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS analytics_requestlog_{day:%Y%m%d} PARTITION OF analytics_requestlog"
                f" FOR VALUES FROM ('{day} 00:00+00') TO ('{day} 24:00+00')"
            )


def log_row(at: datetime | None = None, **values: Any) -> RequestLog:
    """Store one row and return it; what is not given looks like a good call of alice's."""
    at = at or datetime.now(UTC)
    make_partitions(at)
    defaults: dict[str, Any] = {
        "id": os.urandom(16).hex(),
        "namespace": "demo",
        "upstream": "demo",
        "user_id": "alice",
        "method": "tools/call",
        "tool": "echo",
        "outcome": "ok",
        "http_status": 200,
        "total_us": 1500,
        "request_bytes": 100,
        "response_bytes": 1000,
    }
    return RequestLog.objects.create(at=at, **(defaults | values))
