"""The tables that several pages show, each about the calls of the page's subject: tools, users, upstreams, keys …"""

from __future__ import annotations

from typing import Any

from analytics.dashboard import rankings, tables
from analytics.dashboard.look import Look
from analytics.dashboard.tables import BYTES, CALLS, ERROR_SHARE, ERRORS, P50, P95, Column, Table
from analytics.queries import Group, View


def top_tools(look: Look, view: View, filters: dict[str, object] | None = None, **options: Any) -> Table:
    """Return the tools with the most calls."""
    columns = (Column("Tool"), Column("Namespace"), CALLS, ERRORS, P95)
    return rankings.ranking_table(
        look,
        view,
        ("tool", "namespace"),
        names=lambda group: _tool_names(look, group),
        filters=filters,
        **_with({"name": "tools", "title": "Top tools", "columns": columns, "empty": rankings.nothing(look)}, options),
    )


def slowest_tools(look: Look, view: View, filters: dict[str, object] | None = None, **options: Any) -> Table:
    """Return the tools with the highest p95 among those called more than a few times."""
    columns = (Column("Tool"), Column("Namespace"), CALLS, P50, P95)
    return top_tools(
        look,
        view,
        filters,
        **_with(
            {"name": "slowest", "title": "Slowest tools", "columns": columns, "order": "p95"},
            {"min_calls": rankings.FEWEST_CALLS, "note": f"By p95, with at least {rankings.FEWEST_CALLS} requests."},
            options,
        ),
    )


def _tool_names(look: Look, group: Group) -> list[tables.Cell]:
    namespace = group.names["namespace"]
    return [
        rankings.tool_cell(look, namespace, group.names["tool"]),
        rankings.namespace_cell(look, namespace),
    ]


def top_users(look: Look, view: View, filters: dict[str, object] | None = None, **options: Any) -> Table:
    """Return the users with the most calls."""
    columns = (Column("User"), CALLS, ERRORS, ERROR_SHARE)
    return rankings.ranking_table(
        look,
        view,
        ("user_id",),
        names=lambda group: [rankings.user_cell(look, group.names["user_id"])],
        filters=filters,
        **_with({"name": "users", "title": "Top users", "columns": columns, "empty": rankings.nothing(look)}, options),
    )


def troubled_users(look: Look, view: View, filters: dict[str, object] | None = None, **options: Any) -> Table:
    """Return who met or caused the most errors."""
    columns = (Column("User"), ERRORS, ERROR_SHARE, CALLS)
    return top_users(
        look,
        view,
        filters,
        **_with(
            {"name": "trouble", "title": "Who caused the errors", "columns": columns, "order": "errors"},
            {"empty": tables.Empty("No request of a known user failed in this period.")},
            options,
        ),
    )


def namespaces(look: Look, view: View, filters: dict[str, object] | None = None, **options: Any) -> Table:
    """Return the namespaces with the most calls."""
    columns = (Column("Namespace"), CALLS, ERRORS, ERROR_SHARE, P95)
    return rankings.ranking_table(
        look,
        view,
        ("namespace",),
        names=lambda group: [rankings.namespace_cell(look, group.names["namespace"])],
        filters=filters,
        **_with(
            {"name": "namespaces", "title": "Namespaces", "columns": columns, "empty": rankings.nothing(look)}, options
        ),
    )


def failing_upstreams(look: Look, view: View, filters: dict[str, object] | None = None, **options: Any) -> Table:
    """Return the upstreams with the most errors."""
    columns = (Column("Upstream"), ERRORS, ERROR_SHARE, CALLS, P95)
    empty = tables.Empty("No upstream has failed in this period.")
    return upstreams(
        look,
        view,
        filters,
        **{"name": "failing", "title": "Failing upstreams", "columns": columns, "order": "errors", "empty": empty}
        | options,
    )


def upstreams(look: Look, view: View, filters: dict[str, object] | None = None, **options: Any) -> Table:
    """Return the upstreams with the most calls."""
    columns = (Column("Upstream"), CALLS, ERRORS, ERROR_SHARE, P50, P95)
    return rankings.ranking_table(
        look,
        view,
        ("upstream",),
        names=lambda group: [rankings.upstream_cell(look, group.names["upstream"])],
        filters=filters,
        **_with(
            {"name": "upstreams", "title": "Upstreams", "columns": columns, "empty": rankings.nothing(look)}, options
        ),
    )


def keys(look: Look, view: View, filters: dict[str, object] | None = None, **options: Any) -> Table:
    """Return the keys with the most calls."""
    columns = (Column("Key"), CALLS, ERRORS, ERROR_SHARE, BYTES)
    return rankings.ranking_table(
        look,
        view,
        ("key_id", "user_id"),
        names=lambda group: [rankings.key_cell(look, group.names["key_id"])],
        filters=filters,
        **_with({"name": "keys", "title": "Keys", "columns": columns, "empty": rankings.nothing(look)}, options),
    )


def _with(*options: dict[str, Any]) -> dict[str, Any]:
    """Return options together; the later ones win."""
    together: dict[str, Any] = {}
    for some in options:
        together |= some
    return together
