"""The first page: how much, how well, who and what, beside the period before."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from analytics import queries
from analytics.dashboard import existence, rankings, subjects
from analytics.dashboard.figures import figures
from analytics.dashboard.look import Look
from analytics.dashboard.page import Page


class OverviewPage(Page):
    """`/dashboard/`"""

    template = "dashboard/overview.html"

    def content(self, look: Look, **names: Any) -> dict[str, Any]:
        """Return tiles, charts and the five tables."""
        view = look.view()
        # Within namespaces people are counted and the first of them named by one statement.
        is_narrow = view.namespace is not None or view.scope.namespaces is not None
        people = queries.users(look.reading, view) if is_narrow else None
        found = figures(look, view, with_users=not is_narrow, people=None if people is None else len(people))
        if not found.now.calls:
            is_new = not look.selection.namespace and not existence.has_calls(look, view)
            empty = rankings.nothing(look)
            return found.context | {"first_steps": is_new, "base_url": _base_url(look), "tables": [], "empty": empty}
        order_by = {"order": "p95"}
        return found.context | {
            "tables": [
                subjects.top_tools(
                    look,
                    view,
                    more=("All tools", look.url("tools")),
                    csv_url=look.rest_url("/analytics/tools"),
                ),
                subjects.slowest_tools(
                    look,
                    view,
                    more=("All tools by p95", look.url("tools", **order_by)),
                    csv_url=look.rest_url("/analytics/tools", **order_by),
                ),
                subjects.failing_upstreams(
                    look,
                    view,
                    more=("All upstreams", look.url("upstreams")),
                    csv_url=look.rest_url("/analytics/upstreams", order="errors"),
                ),
                subjects.top_users(
                    look,
                    view,
                    groups=people,
                    more=("All users", look.url("users")),
                    csv_url=look.rest_url("/analytics/usage", group_by="user"),
                ),
                rankings.endings_table(look, view, csv_url=look.rest_url("/analytics/outcomes")),
            ]
        }


def _base_url(look: Look) -> str:
    """Return the address that clients use, as far as we know it."""
    return settings.PUBLIC_URL or look.request.build_absolute_uri("/").rstrip("/")
