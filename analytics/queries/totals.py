"""Calls added up: over a period as a whole, over time, by how they ended, and how many people made them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from analytics.queries.histogram import MERGED, percentiles
from analytics.queries.measures import Ending, Measures, Point
from analytics.queries.reading import Reading, floor
from analytics.queries.source import fitting_cut, reads_nothing, rows, source
from analytics.queries.view import View
from analytics.rollup_cuts import ENDINGS, FAILURES, TROUBLE

_LONGEST_FROM_LOG = timedelta(days=3)
SUMS = (
    "coalesce(sum(calls), 0)::bigint, coalesce(sum(errors), 0)::bigint, coalesce(sum(total_us), 0)::bigint,"
    " coalesce(sum(request_bytes), 0)::bigint, coalesce(sum(response_bytes), 0)::bigint"
)


def measures(sums: Sequence[Any], merged: bytes | None = None) -> Measures:
    """Return the measures of one row of SUMS; without a merged histogram there are no percentiles."""
    calls, errors, total_us, request_bytes, response_bytes = sums
    average = total_us / calls / 1000 if calls else None
    return Measures(calls, errors, average, *percentiles(merged), request_bytes, response_bytes)


def totals(reading: Reading, view: View) -> Measures:
    """Return the calls of the view added up, with percentiles that are at most 5 % off."""
    if reads_nothing(view):
        return Measures()
    found = source(reading, view, (), fitting_cut(view))
    ((*sums, merged),) = rows(f"SELECT {SUMS}, {MERGED} FROM {found.sql} AS part", found.parameters)
    return measures(sums, merged)


def series(reading: Reading, view: View, bucket: timedelta, *, with_percentiles: bool = True) -> list[Point]:
    """Return the view's calls by time, one point for each bucket, empty ones included.

    Args: bucket: a divisor or a multiple of a day; the buckets begin at its multiples since 1970 (UTC).
    Raises BucketTooFineError when the log is not kept that finely for so long ago.
    """
    since = floor(reading.align(view.since), bucket)
    reading.check_bucket(reading.align(view.since), bucket)
    counted: dict[Any, Measures] = {}
    if not reads_nothing(view):
        found = source(reading, view, (), fitting_cut(view), bucket)
        at = "date_bin(%s::interval, at, '1970-01-01 00:00:00+00')"
        merged = MERGED if with_percentiles else "NULL"
        by_bucket = rows(
            f"SELECT {at}, {SUMS}, {merged} FROM {found.sql} AS part GROUP BY 1", [bucket, *found.parameters]
        )
        counted = {row[0]: measures(row[1:-1], row[-1]) for row in by_bucket}
    points = []
    while since < view.until:
        points.append(Point(since, counted.get(since, Measures())))
        since += bucket
    return points


def affordable_bucket(reading: Reading, view: View, bucket: timedelta) -> timedelta:
    """Return the finest bucket, `bucket` at least, by which the view's calls can be read without days of the log.

    Who used which tool is kept by day only, except for the last two days.
    """
    is_kept = fitting_cut(view).keeps_hours or view.since >= reading.now - _LONGEST_FROM_LOG
    return bucket if is_kept else max(bucket, timedelta(days=1))


def endings(reading: Reading, view: View, limit: int = 50) -> list[Ending]:
    """Return how the view's calls ended, by outcome and reason, the most frequent first; `ok` is among them."""
    if reads_nothing(view):
        return []
    whole = source(reading, view, (), fitting_cut(view))
    (counts,) = rows(f"SELECT coalesce(sum(calls - errors), 0)::bigint FROM {whole.sql} AS part", whole.parameters)
    needed = {*view.names(), *(() if view.scope.user_ids is None else ("user_id",))}
    cut = ENDINGS if needed <= set(ENDINGS.names) else TROUBLE
    found = source(reading, view, ("reason",), cut, extra=FAILURES)
    sums = ", ".join(f"coalesce(sum({outcome}), 0)::bigint" for outcome in FAILURES)
    by_reason = rows(f"SELECT reason, {sums} FROM {found.sql} AS part GROUP BY 1", found.parameters)
    endings = [
        Ending(outcome, reason, calls)
        for reason, *numbers in by_reason
        for outcome, calls in zip(FAILURES, numbers, strict=True)
        if calls
    ]
    if counts[0]:
        endings.append(Ending("ok", None, counts[0]))
    return sorted(endings, key=lambda ending: (-ending.calls, ending.outcome, ending.reason or ""))[:limit]


def active_users(reading: Reading, view: View) -> int:
    """Return how many different users made the view's calls."""
    if reads_nothing(view):
        return 0
    found = source(reading, view, ("user_id",), fitting_cut(view, ("user_id",)))
    # Grouped by hashing; count(DISTINCT) would sort every row.
    sql = f"SELECT count(*) FROM (SELECT user_id FROM {found.sql} AS part GROUP BY user_id) AS people"
    return int(rows(sql, found.parameters)[0][0])
