"""Who and what comes first: users, keys, namespaces, upstreams and tools by calls, errors, time or bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analytics.queries.histogram import MERGED
from analytics.queries.measures import Group
from analytics.queries.reading import Reading
from analytics.queries.source import Row, fitting_cut, reads_nothing, rows, source
from analytics.queries.totals import SUMS, measures
from analytics.queries.view import View

# No answer has more groups: the names of tools are chosen by upstreams.
MAX_GROUPS = 1000
_ORDERS = {
    "calls": "sum(calls)",
    "errors": "sum(errors)",
    "error_rate": "sum(errors)::float8 / sum(calls)",
    "avg": "sum(total_us)::float8 / sum(calls)",
    "p95": "sum(total_us)::float8 / sum(calls)",
    "bytes": "sum(request_bytes + response_bytes)",
}
ORDERS = tuple(_ORDERS)
# Percentiles are worked out for this many times the groups wanted, the slowest on average.
_CANDIDATES = 4


def ranking(
    reading: Reading,
    view: View,
    by: Sequence[str],
    order: str = "calls",
    limit: int = 20,
    *,
    min_calls: int = 1,
    with_percentiles: bool = True,
    count_users: bool = False,
) -> list[Group]:
    """Return the view's calls by the names `by`, the first by `order` first, at most `limit` groups.

    Args:
        by: among namespace, upstream, user_id, key_id, tool. Rows without one of the names are left out.
        order: one of ORDERS; by `error_rate` and `errors` only groups with errors, by `p95` among those that are
            slowest on average.
        min_calls: groups with fewer are left out: a mean over three calls ranks nothing.
        count_users: also tell how many different users there were.
    """
    cut = fitting_cut(view, by)
    if reads_nothing(view):
        return []
    names = ", ".join(by)
    found = source(reading, view, by, cut)
    present = " AND ".join(_present(name) for name in by)
    having = "sum(calls) >= %s" + (" AND sum(errors) > 0" if order in ("errors", "error_rate") else "")
    reach = limit * _CANDIDATES if order == "p95" else limit
    groups = rows(
        f"SELECT {names}, {SUMS} FROM {found.sql} AS part WHERE {present} GROUP BY {names}"
        f" HAVING {having} ORDER BY {_ORDERS[order]} DESC, sum(calls) DESC, {names} LIMIT %s",
        [*found.parameters, min_calls, reach],
    )
    ranked = _percentiles(reading, view, by, groups) if with_percentiles else _plain(by, groups)
    if order == "p95":
        ranked.sort(key=lambda group: -(group.measures.p95_ms or 0.0))
    ranked = ranked[:limit]
    return _users(reading, view, by, ranked) if count_users else ranked


def users(reading: Reading, view: View) -> list[Group]:
    """Return who made the view's calls, the most calls first, at most MAX_GROUPS: to count them and to name some."""
    return ranking(reading, view, ("user_id",), limit=MAX_GROUPS, with_percentiles=False)


def _present(name: str) -> str:
    """Return the condition that a row has the name.

    `IS NOT NULL` would bring up the indexes of the rows that have it, which begin with the name: PostgreSQL 18 skips
    from one name to the next there, a thousand searches where the index by time needs one.
    """
    return "coalesce(key_id, 0) <> 0" if name == "key_id" else f"coalesce({name}, '') <> ''"


def _plain(by: Sequence[str], groups: Sequence[Row]) -> list[Group]:
    return [Group(dict(zip(by, row, strict=False)), measures(row[len(by) :])) for row in groups]


def _percentiles(reading: Reading, view: View, by: Sequence[str], groups: Sequence[Row]) -> list[Group]:
    """Return the groups with their percentiles, read for these groups alone."""
    if not groups:
        return []
    found = source(reading, view, by, fitting_cut(view, by), only=_among(by, groups))
    names = ", ".join(by)
    sql = f"SELECT {names}, {MERGED} FROM {found.sql} AS part GROUP BY {names}"
    merged = {row[:-1]: row[-1] for row in rows(sql, found.parameters)}
    return [
        Group(dict(zip(by, row, strict=False)), measures(row[len(by) :], merged.get(row[: len(by)]))) for row in groups
    ]


def _users(reading: Reading, view: View, by: Sequence[str], groups: list[Group]) -> list[Group]:
    """Return the groups with the number of their different users."""
    if not groups:
        return []
    names = list(dict.fromkeys((*by, "user_id")))
    keys = [tuple(group.names[name] for name in by) for group in groups]
    found = source(reading, view, names, fitting_cut(view, names), only=_among(by, keys))
    people = f"SELECT {', '.join(names)} FROM {found.sql} AS part GROUP BY {', '.join(names)}"
    counted = rows(
        f"SELECT {', '.join(by)}, count(user_id) FROM ({people}) AS people GROUP BY {', '.join(by)}", found.parameters
    )
    users = {row[:-1]: row[-1] for row in counted}
    return [replace(group, users=users.get(key, 0)) for group, key in zip(groups, keys, strict=True)]


def _among(by: Sequence[str], groups: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Return the values of each name, to read no more than the groups (and what shares names with them)."""
    return {name: sorted({row[place] for row in groups}) for place, name in enumerate(by)}
