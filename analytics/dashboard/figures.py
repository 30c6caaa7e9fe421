"""The upper half of most pages: tiles and charts of a view, asked once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from analytics import queries
from analytics.dashboard.charts import calls_chart, latency_chart
from analytics.dashboard.look import Look
from analytics.dashboard.tiles import tiles
from analytics.queries import Measures, Point, View


@dataclass(frozen=True, slots=True)
class Figures:
    """The measures of a view, of the period before, and by time."""

    now: Measures
    before: Measures
    points: list[Point]
    points_before: list[Point] | None
    context: dict[str, Any]


def figures(
    look: Look,
    view: View,
    *,
    with_users: bool = False,
    people: int | None = None,
    with_series_before: bool = False,
    **filters: object,
) -> Figures:
    """Ask for the measures of a view and return them with the tiles and charts for the template.

    Args: with_users: count the people, of the period before too; people: how many there are, where the page knows
    already; with_series_before: draw the p95 of the period before; filters: of the
    list of requests behind the numbers.
    """
    earlier = view.before()
    now, before = queries.totals(look.reading, view), queries.totals(look.reading, earlier)
    points = queries.series(look.reading, view, look.selection.bucket)
    points_before = _series_before(look, view, len(points)) if with_series_before else None
    users: tuple[int, int | None] | None = None if people is None else (people, None)
    if with_users:
        # Counted by user alone it is cheap; within namespaces it reads a row for each of their users and hours.
        is_cheap = view.namespace is None and view.scope.namespaces is None
        people_before = queries.active_users(look.reading, earlier) if is_cheap else None
        users = queries.active_users(look.reading, view), people_before
    context = {
        "tiles": tiles(look, now, before, points, users, **filters),
        "charts": [calls_chart(look, points, **filters), latency_chart(look, points, points_before, **filters)],
        "has_calls": bool(now.calls),
    }
    return Figures(now, before, points, points_before, context)


def _series_before(look: Look, view: View, buckets: int) -> list[Point]:
    """Return the time series of as many buckets before, so that the two lie above each other."""
    bucket = look.selection.bucket
    return queries.series(look.reading, replace(view, since=view.since - buckets * bucket, until=view.since), bucket)
