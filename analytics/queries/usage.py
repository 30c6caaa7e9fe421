"""Every analytic SQL statement, one function each. They read; nothing here writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

# No answer has more groups: the names of tools are chosen by clients.
MAX_GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a caller may see. None: no restriction."""

    user_id: str | None = None
    namespaces: tuple[str, ...] | None = None


_USAGE = """
    SELECT {group}, coalesce(namespace, ''), count(*), count(*) FILTER (WHERE outcome <> 'ok'),
           avg(total_us)::float8 / 1000, sum(request_bytes)::bigint, sum(response_bytes)::bigint
    FROM analytics_requestlog
    WHERE at >= %(since)s AND reason IS DISTINCT FROM 'opened' AND {condition}
      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
      AND (%(namespaces)s::text[] IS NULL OR namespace = ANY (%(namespaces)s))
    GROUP BY 1, 2
    ORDER BY 3 DESC, 1, 2
    LIMIT %(limit)s
"""
_GROUPS = {
    "user": ("user_id", "user_id IS NOT NULL"),
    "tool": ("tool", "tool IS NOT NULL AND method = 'tools/call'"),
}


def usage(period: timedelta, group_by: str, scope: Scope) -> list[dict[str, Any]]:
    """Return calls, errors, mean latency and bytes by user or tool and by namespace, the busiest first (A.5).

    Args:
        period: how far back from now.
        group_by: `user` (rows with no known user are left out) or `tool` (calls of tools only).
        scope: restricts the rows.
    An error is whatever did not end `ok`. A long stream counts once, when it closes. At most MAX_GROUPS rows and
    one more, which tells that there are more.
    """
    group, condition = _GROUPS[group_by]
    arguments = {
        "since": timezone.now() - period,
        "user_id": scope.user_id,
        "namespaces": None if scope.namespaces is None else list(scope.namespaces),
        "limit": MAX_GROUPS + 1,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        # Compiling a plan over dozens of partitions takes seconds and saves none.
        cursor.execute("SET LOCAL jit = off")
        cursor.execute(_USAGE.format(group=group, condition=condition), arguments)
        rows = cursor.fetchall()
    return [
        {
            "tool_name" if group_by == "tool" else "user_id": name,
            "namespace": namespace,
            "request_count": requests,
            "error_count": failures,
            "avg_latency_ms": round(latency, 3),
            "total_request_bytes": request_bytes,
            "total_response_bytes": response_bytes,
        }
        for name, namespace, requests, failures, latency, request_bytes, response_bytes in rows
    ]
