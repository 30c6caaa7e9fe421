"""Every statement that reads what happened. Nothing here writes; nothing elsewhere asks."""

from __future__ import annotations

from analytics.queries.measures import Call, CallPage, Ending, Group, Measures, Point
from analytics.queries.usage import MAX_GROUPS, Scope, usage
from analytics.queries.view import CallFilter, View

__all__ = [
    "MAX_GROUPS",
    "Call",
    "CallFilter",
    "CallPage",
    "Ending",
    "Group",
    "Measures",
    "Point",
    "Scope",
    "View",
    "usage",
]
