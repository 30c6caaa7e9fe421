"""The rows that a question is asked of: the fitting cut of the roll-ups, and the log where they do not reach."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from analytics.queries.reading import Reading
from analytics.queries.spans import RAW, TRAIL, spans
from analytics.queries.view import View
from analytics.rollup_cuts import (
    BIN_SHIFT,
    CALLERS,
    COUNTED,
    GRAINS,
    PEOPLE,
    TOOLS,
    TRAFFIC,
    USER_TOOLS,
    WHOLE,
    Cut,
    bin_sql,
)

# The first that has all the names is the smallest that does.
_BY_SIZE = (WHOLE, TRAFFIC, PEOPLE, TOOLS, CALLERS, USER_TOOLS)
_MEASURES = ("calls", "errors", "total_us", "request_bytes", "response_bytes")
_RAW_MEASURES = (
    "1::bigint AS calls, (outcome <> 'ok')::int::bigint AS errors, total_us, request_bytes, response_bytes,"
    f" ARRAY[({bin_sql('total_us')}::bigint << {BIN_SHIFT}) | 1] AS latency"
)

Row = tuple[Any, ...]


@dataclass(slots=True)
class Source:
    """A sub-query (alias it) with its parameters; its columns are the names, `at`, the measures and `latency`."""

    sql: str
    parameters: list[Any]


def rows(sql: str, parameters: Sequence[Any]) -> list[Row]:
    """Run one statement and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def fitting_cut(view: View, names: Collection[str] = ()) -> Cut:
    """Return the smallest cut that keeps apart what the view and the grouping `names` need.

    Raises ValueError for a combination that no cut has, which no page asks for.
    """
    needed = {*view.names(), *names}
    if view.scope.namespaces is not None:
        needed.add("namespace")
    if view.scope.user_ids is not None:
        needed.add("user_id")
    about_tools = "tool" in needed
    for cut in _BY_SIZE:
        if needed <= set(cut.names) and ("tool" in cut.names) == about_tools:
            return cut
    raise ValueError(f"no cut keeps {sorted(needed)} apart")


def source(
    reading: Reading,
    view: View,
    names: Sequence[str],
    cut: Cut,
    bucket: timedelta | None = None,
    only: Mapping[str, Sequence[Any]] | None = None,
    extra: Sequence[str] = (),
) -> Source:
    """Return the rows of a view with the columns `names`, of a cut that has them all.

    Args: bucket: of a time series, so that no row crosses its borders; only: values that a name must be among;
    extra: outcomes, each of which becomes a column that counts it.
    """
    grains = [grain for grain in cut.grains if bucket is None or _nests(GRAINS[grain], bucket)]
    parts, parameters = [], []
    kept = reading.for_cut(cut)
    # Where a cut has no hours for so long ago, whole days answer, rather than a day of the log.
    since = kept.align(view.since) if "day" in grains else reading.align(view.since)
    trails = reading.trails.get(cut.number, []) if bucket is None else []
    for span in spans(kept, since, view.until, grains, trails):
        raw = span.grain == RAW
        conditions, values = _conditions(view, cut, raw, only)
        columns = [cut.name_sql(name) + f" AS {name}" if raw else name for name in names]
        measures = _raw_columns(extra) if raw else ", ".join((*_MEASURES, "latency", *extra))
        table = "analytics_requestlog" if raw else f"analytics_rollup_{span.grain}"
        fixed = f"{COUNTED} AND {cut.rows}" if raw else f"cut = {cut.number}"
        period = "at = %s" if span.grain == TRAIL else "at >= %s AND at < %s"
        parts.append(
            f"SELECT {', '.join([*columns, 'at', measures])} FROM {table} WHERE {fixed} AND {period}{conditions}"
        )
        parameters += [span.since, *([] if span.grain == TRAIL else [span.until]), *values]
    if not parts:
        empty = [f"NULL::{'bigint' if name == 'key_id' else 'text'} AS {name}" for name in names]
        parts.append(f"SELECT {', '.join([*empty, 'at', _raw_columns(extra)])} FROM analytics_requestlog WHERE false")
    return Source("(" + " UNION ALL ".join(parts) + ")", parameters)


def _raw_columns(extra: Sequence[str]) -> str:
    return ", ".join([_RAW_MEASURES, *(f"(outcome = '{outcome}')::int AS {outcome}" for outcome in extra)])


def _nests(grain: timedelta, bucket: timedelta) -> bool:
    return bucket % grain == timedelta(0)


def _conditions(view: View, cut: Cut, raw: bool, only: Mapping[str, Sequence[Any]] | None) -> tuple[str, list[Any]]:
    """Return what rows must be like, besides their time: the view's names and its scope."""
    conditions, values = [], []
    wanted: dict[str, list[Any]] = {name: [value] for name, value in view.names().items()}
    for name, allowed in (("namespace", view.scope.namespaces), ("user_id", view.scope.user_ids)):
        if allowed is not None:
            wanted[name] = [value for value in wanted.get(name, allowed) if value in allowed]
    for name, values_of in (only or {}).items():
        wanted[name] = [value for value in wanted.get(name, list(values_of)) if value in values_of]
    for name, among in wanted.items():
        kind = "bigint" if name == "key_id" else "text"
        # One value is compared as such: the planner knows better how many rows have it.
        condition, value = (f"= ANY (%s::{kind}[])", list(among)) if len(among) != 1 else (f"= %s::{kind}", among[0])
        expression = cut.name_sql(name) if raw else name
        conditions.append(f" AND {expression} {condition}")
        values.append(value)
        if raw and expression != name and "" not in among:
            conditions.append(f" AND {name} {condition}")  # the log's own index knows the plain column
            values.append(value)
    return "".join(conditions), values


def reads_nothing(view: View) -> bool:
    """Return whether the scope alone excludes every call."""
    return view.scope.namespaces == () or view.scope.user_ids == ()
