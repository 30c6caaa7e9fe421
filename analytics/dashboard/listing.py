"""Pages that are one long ranking: all namespaces, users, tools, upstreams, sorted by a column of one's choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from analytics import queries
from analytics.dashboard import rankings, subjects
from analytics.dashboard.look import Look
from analytics.dashboard.page import Page
from analytics.dashboard.selection import choice_of
from analytics.dashboard.tables import (
    BYTES,
    CALLS,
    ERROR_SHARE,
    ERRORS,
    P50,
    P95,
    Column,
    Table,
)


class ListingPage(Page):
    """A ranking of up to `rankings.PAGE` rows; `?order=` sorts it."""

    template = "dashboard/listing.html"
    title: ClassVar[str]
    lead: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    rest: ClassVar[tuple[str, dict[str, str]]]
    table: Callable[..., Table]

    def content(self, look: Look, **names: Any) -> dict[str, Any]:
        """Return the table, its sorted column marked and the others linked."""
        order = choice_of(look.request.GET, "order", queries.ORDERS, "calls")
        path, parameters = self.rest
        table = type(self).table(
            look,
            look.view(),
            title=self.title,
            columns=self.columns,
            order=order,
            limit=rankings.PAGE,
            note="",
            csv_url=look.rest_url(path, **parameters, order=order),
            **self.limits(order),
        )
        columns = tuple(_sortable(look, column, order) for column in table.columns)
        note = f"The first {rankings.PAGE}; the CSV holds more." if len(table.rows) == rankings.PAGE else ""
        return {
            "title": self.title,
            "lead": self.lead,
            "table": replace(table, columns=columns, note=note, is_wide=True),
            "further": self.further(look, order),
        }

    def limits(self, order: str) -> dict[str, Any]:
        """Return what the ranking is told besides."""
        return {"min_calls": rankings.FEWEST_CALLS} if order in ("p95", "avg") else {}

    def further(self, look: Look, order: str) -> list[Table]:
        """Return more tables of the page."""
        return []


def _sortable(look: Look, column: Column, order: str) -> Column:
    if not column.order:
        return column
    own = None if column.order == "calls" else column.order
    url = f"{look.request.path}{look.selection.query(order=own)}"
    return replace(column, url=url, is_sorted=column.order == order)


class NamespacesPage(ListingPage):
    """`/dashboard/namespaces/`"""

    title = "Namespaces"
    lead = "What clients reach at /mcp/<namespace>."
    columns = (Column("Namespace"), CALLS, ERRORS, ERROR_SHARE, P50, P95, BYTES)
    rest = ("/analytics/namespaces", {})
    table = subjects.namespaces


class UsersPage(ListingPage):
    """`/dashboard/users/`: all who called, and who caused the errors."""

    title = "Users"
    lead = "Who called: the users that keys were issued to."
    columns = (Column("User"), CALLS, ERRORS, ERROR_SHARE, P50, P95, BYTES)
    rest = ("/analytics/usage", {"group_by": "user"})
    table = subjects.top_users

    def further(self, look: Look, order: str) -> list[Table]:
        """Return who caused the errors, unless the list itself says so, and why requests failed."""
        view = look.view()
        endings = rankings.endings_table(look, view, csv_url=look.rest_url("/analytics/outcomes"))
        return [endings] if order == "errors" else [subjects.troubled_users(look, view, limit=20), endings]


class ToolsPage(ListingPage):
    """`/dashboard/tools/`"""

    title = "Tools"
    lead = "Calls of tools (tools/call) by name and namespace."
    columns = (Column("Tool"), Column("Namespace"), CALLS, ERRORS, ERROR_SHARE, P50, P95, BYTES)
    rest = ("/analytics/tools", {})
    table = subjects.top_tools


class UpstreamsPage(ListingPage):
    """`/dashboard/upstreams/`"""

    title = "Upstreams"
    lead = "The MCP servers that calls were forwarded to."
    columns = (Column("Upstream"), CALLS, ERRORS, ERROR_SHARE, P50, P95, BYTES)
    rest = ("/analytics/upstreams", {})
    table = subjects.upstreams
