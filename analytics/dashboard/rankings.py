"""The tables of a page: who called, what was called, where it went and how it ended. Each asks one ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from analytics import queries
from analytics.dashboard import formatting, tables
from analytics.dashboard.look import Look
from analytics.dashboard.outcomes import OUTCOMES, outcome_cell
from analytics.dashboard.tables import Cell, Column, Empty, Table
from analytics.queries import Group, View

TOP = 8  # rows of a table that is one of many
PAGE = 100  # rows of a table that is the page
# A mean over fewer calls ranks nothing.
FEWEST_CALLS = 5
# How a name of a group is called in the list of requests.
FILTERS = {"user_id": "user", "key_id": "key", "tool": "tool", "namespace": "namespace", "upstream": "upstream"}


def measured(look: Look, group: Group, most: tuple[int, int], filters: dict[str, object]) -> dict[str, Cell]:
    """Return the cells of a group's measures by the column's label, each linked to the requests behind it.

    Args: most: calls and errors that a full bar stands for; 0: no bar.
    """
    found = group.measures
    p95 = None if found.p95_ms is None else round(found.p95_ms) or None
    return {
        "Requests": tables.count_cell(found.calls, look.requests_url(**filters), most[0]),
        "Errors": tables.count_cell(found.errors, look.requests_url(**filters, errors_only="true"), most[1], "error"),
        "Share": tables.share_cell(found),
        "p50": tables.latency_cell(found.p50_ms),
        "p95": tables.latency_cell(found.p95_ms, look.requests_url(**filters, slower_than_ms=p95) if p95 else ""),
        "Bytes": tables.size_cell(found.request_bytes + found.response_bytes),
    }


def filters_of(group: Group, further: dict[str, object] | None = None) -> dict[str, object]:
    """Return the filters of the list of requests that lead to a group's calls."""
    return {**(further or {}), **{FILTERS[name]: value for name, value in group.names.items()}}


def ranking_table(
    look: Look,
    view: View,
    by: Sequence[str],
    *,
    name: str,
    title: str,
    columns: Sequence[Column],
    names: Callable[[Group], list[Cell]],
    empty: Empty,
    order: str = "calls",
    limit: int = TOP,
    filters: dict[str, object] | None = None,
    groups: Sequence[Group] | None = None,
    **options: Any,
) -> Table:
    """Return a ranking as a table.

    Args: names: makes the first cells of a row; columns: those of `names`, then of measures by their labels;
    filters: of the requests behind the numbers, on top of the group's names; groups: where the page has asked already;
    options: of the table (`more`,
    `csv_url`, `note`) and `min_calls`.
    """
    labels = [column.label for column in columns]
    min_calls = options.pop("min_calls", 1)
    if groups is None:
        groups = queries.ranking(
            look.reading,
            view,
            by,
            order,
            limit,
            min_calls=min_calls,
            with_percentiles=bool({"p50", "p95"} & set(labels)),
        )
    groups = groups[:limit]
    if order in ("errors", "error_rate"):
        most = 0, tables.largest([group.measures.errors for group in groups])
    else:
        most = tables.largest([group.measures.calls for group in groups]), 0
    rows = []
    for group in groups:
        leading = names(group)
        cells = measured(look, group, most, filters_of(group, filters))
        rows.append([*leading, *(cells[label] for label in labels[len(leading) :])])
    return Table(name, title, tuple(columns), rows, empty, **options)


def user_cell(look: Look, user: object) -> Cell:
    """Return a user with the way to their page."""
    return tables.name_cell(str(user), look.url("user", str(user)))


def namespace_cell(look: Look, namespace: object) -> Cell:
    """Return a namespace with the way to its page."""
    return tables.name_cell(str(namespace), look.url("namespace", str(namespace), namespace=None))


def upstream_cell(look: Look, upstream: object) -> Cell:
    """Return an upstream with the way to its page."""
    return tables.name_cell(str(upstream), look.url("upstream", str(upstream)))


def tool_cell(look: Look, namespace: object, tool: object) -> Cell:
    """Return a tool with the way to its page."""
    return tables.name_cell(str(tool), look.url("tool", str(namespace), str(tool), namespace=None))


def key_cell(look: Look, key: object) -> Cell:
    """Return a key's number with the way to its page."""
    return Cell(f"#{key}", look.url("key", key))


def endings_table(look: Look, view: View, filters: dict[str, object] | None = None, csv_url: str = "") -> Table:
    """Return how the calls ended, by outcome and reason."""
    endings = queries.endings(look.reading, view)
    total = sum(ending.calls for ending in endings)
    most = tables.largest([ending.calls for ending in endings if ending.outcome != "ok"])
    rows = []
    for ending in endings:
        given = {**(filters or {}), "outcome": ending.outcome}
        if ending.reason:
            given["reason"] = ending.reason
        url = look.requests_url(**given)
        is_ok = ending.outcome == "ok"
        tone = {"warn": "warn", "muted": "muted"}.get(OUTCOMES.get(ending.outcome, ("", ""))[0], "error")
        rows.append(
            [
                outcome_cell(ending.outcome, url),
                tables.name_cell(ending.reason) if ending.reason else Cell("–", is_quiet=True),
                tables.count_cell(ending.calls, url, 0 if is_ok else most, tone),
                Cell(formatting.share(ending.calls, total), hint=f"{ending.calls:,} of {total:,}", is_number=True),
            ]
        )
    columns = (
        Column("Outcome"),
        Column("Reason"),
        Column("Requests", True),
        Column("Share", True, "", "Of all requests of the period."),
    )
    return Table("outcomes", "How requests ended", columns, rows, nothing(look), csv_url=csv_url)


def nothing(look: Look, what: str = "No requests in this period.") -> Empty:
    """Return what stands in an empty table: why, and a longer period where that may help."""
    order = ("1h", "6h", "24h", "7d", "30d", "90d")
    present = look.selection.period
    longer = order[order.index(present) + 1 : order.index(present) + 2] if present in order else ("7d",)
    if present == "30m":
        longer = ("1h",)
    if not longer:
        return Empty(what)
    url = f"{look.request.path}{look.selection.query(period=longer[0])}"
    return Empty(what, f"Look at the last {longer[0]}", url)
