"""Every statement that reads what happened. Nothing here writes; nothing elsewhere asks."""

from __future__ import annotations

from analytics.queries.calls import InvalidCursorError, call, calls
from analytics.queries.measures import Call, CallPage, Ending, Group, Measures, Point
from analytics.queries.ranking import MAX_GROUPS, ORDERS, ranking, users
from analytics.queries.reading import BucketTooFineError, Reading, reading
from analytics.queries.totals import active_users, affordable_bucket, endings, series, totals
from analytics.queries.upstreams import UpstreamCalls, upstream_calls
from analytics.queries.view import CallFilter, View

__all__ = [
    "MAX_GROUPS",
    "ORDERS",
    "BucketTooFineError",
    "Call",
    "CallFilter",
    "CallPage",
    "Ending",
    "Group",
    "InvalidCursorError",
    "Measures",
    "Point",
    "Reading",
    "UpstreamCalls",
    "View",
    "active_users",
    "affordable_bucket",
    "call",
    "calls",
    "endings",
    "ranking",
    "reading",
    "series",
    "totals",
    "upstream_calls",
    "users",
]
