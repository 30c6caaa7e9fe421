"""What the traffic of late says of each upstream: how many calls there were, and how many failed there."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.queries.reading import Reading
from analytics.queries.source import rows, source
from analytics.queries.view import View
from analytics.rollup_cuts import ENDINGS, FAILURES, TRAFFIC

# Outcomes that are the upstream's doing.
_FAILED = "coalesce(upstream_error, 0) + coalesce(timeout, 0)"


@dataclass(frozen=True, slots=True)
class UpstreamCalls:
    """Calls of one upstream, those that failed there, and the commonest reason of these."""

    calls: int
    failed: int = 0
    reason: str = ""


def upstream_calls(reading: Reading, view: View) -> dict[str, UpstreamCalls]:
    """Return the view's calls by upstream."""
    called = source(reading, view, ("upstream",), TRAFFIC)
    sql = f"SELECT upstream, sum(calls)::bigint FROM {called.sql} AS part WHERE upstream <> '' GROUP BY 1"
    calls: dict[str, int] = dict(rows(sql, called.parameters))
    failed = source(reading, view, ("upstream", "reason"), ENDINGS, extra=FAILURES)
    sql = (
        f"SELECT upstream, reason, sum({_FAILED})::bigint FROM {failed.sql} AS part WHERE upstream <> '' GROUP BY 1, 2"
    )
    reasons: dict[str, list[tuple[int, str]]] = {}
    for upstream, reason, number in rows(sql, failed.parameters):
        if number:
            reasons.setdefault(upstream, []).append((number, reason or ""))
    return {
        upstream: UpstreamCalls(
            number, sum(one for one, _ in reasons.get(upstream, ())), max(reasons.get(upstream, [(0, "")]))[1]
        )
        for upstream, number in calls.items()
    }
