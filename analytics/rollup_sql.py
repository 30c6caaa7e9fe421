"""The statements that add the log up: raw rows to any grain, and a grain to the next coarser one.

They work on two temporary tables of the keeper's connection (`prepare`), which are empty again after each commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import psycopg
from psycopg import sql

from analytics.rollup_cuts import (
    BIN_SHIFT,
    CALLERS,
    CALLS_OF_BIN,
    COUNTED,
    CUTS,
    FAILURES,
    PEOPLE,
    TRAFFIC,
    WHOLE,
    Cut,
    bin_sql,
)

_SUMS = ("total_us", "request_bytes", "response_bytes")
_COLUMNS = ("calls", *_SUMS, *FAILURES, "latency")
_BIGGEST = (1 << 63) - 1024  # the largest bigint that is a double too
# Cuts whose names all are in `rollup_callers` and `rollup_caller_bins`: added up from there, not from each row again.
_BY_CALLER = (WHOLE, TRAFFIC, PEOPLE, CALLERS)
_CALLER = CALLERS.names

# Sums of doubles are exact to the unit below 2 ** 53 microseconds or bytes a group, and cost half of numeric ones.
_TABLES = f"""
CREATE TEMP TABLE IF NOT EXISTS rollup_rows (
    at timestamptz, namespace text, upstream text, user_id text, key_id bigint, method text, tool text, outcome text,
    reason text, bin integer, total_us float8, request_bytes float8, response_bytes float8
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS rollup_callers (
    at timestamptz, namespace text, upstream text, user_id text, key_id bigint, calls integer,
    total_us float8, request_bytes float8, response_bytes float8, {", ".join(f"{name} integer" for name in FAILURES)}
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS rollup_caller_bins (
    at timestamptz, namespace text, upstream text, user_id text, key_id bigint, bin integer, calls integer
) ON COMMIT DELETE ROWS;
"""
# The temporary tables have no statistics: without the hint a few thousand groups are found by sorting all rows.
_SESSION = """
SET jit = off; SET enable_sort = off; SET work_mem = '64MB'; SET temp_buffers = '32MB';
SET max_parallel_workers_per_gather = 0; SET synchronous_commit = off;
"""

_TAKE = f"""
INSERT INTO rollup_rows
SELECT {{at}}, {WHOLE.name_sql("namespace")}, upstream, user_id, key_id, method, tool, outcome, reason,
    {bin_sql("total_us")}, total_us, request_bytes, response_bytes
FROM {{log}} WHERE at >= %(since)s AND at < %(until)s AND {COUNTED} AND {{rows}}
"""


def prepare(connection: psycopg.Connection) -> None:
    """Make a connection fit for adding up: its temporary tables and its planner settings, for the session."""
    connection.execute(_SESSION)
    connection.execute(_TABLES)


def take(
    connection: psycopg.Connection,
    log: str,
    since: datetime,
    until: datetime,
    at: datetime | str,
    only: Cut | None = None,
) -> int:
    """Read the counted rows of [since, until) from the log's partition `log` for `add_up`; return how many there are.

    Args: at: the moment under which they are added up, or the unit (`minute`) whose beginning it is; only: leave
    out what does not count for this cut.
    """
    moment = f"date_trunc('{at}', at)" if isinstance(at, str) else "%(at)s::timestamptz"
    query = _TAKE.format(at=moment, log="{log}", rows="true" if only is None else only.rows)
    parameters = {"since": since, "until": until, "at": at}
    return connection.execute(sql.SQL(query).format(log=sql.Identifier(log)), parameters).rowcount


def add_up(connection: psycopg.Connection, grain: str, cuts: Iterable[Cut]) -> None:
    """Add the rows that `take` has read up, into the table of `grain`."""
    wanted = list(cuts)
    if any(cut in _BY_CALLER for cut in wanted):
        connection.execute(_GROUP_CALLERS)
        connection.execute(_GROUP_CALLER_BINS)
    for cut in wanted:
        connection.execute(_insertion(grain, cut))


def forget(connection: psycopg.Connection) -> None:
    """Forget the rows that were taken, to take others in the same transaction."""
    connection.execute("TRUNCATE rollup_rows, rollup_callers, rollup_caller_bins")


def coarsen(
    connection: psycopg.Connection, finer: str, grain: str, since: datetime, until: datetime, cuts: Iterable[Cut]
) -> None:
    """Add the rows of grain `finer` in [since, until) up to one unit of `grain`, which begins at `since`."""
    for cut in cuts:
        rows = f"SELECT * FROM analytics_rollup_{finer} {_IN_CUT.format(cut.number)}"
        connection.execute(_coarsening(rows, grain, cut), {"since": since, "until": until})


def delete(
    connection: psycopg.Connection, grain: str, since: datetime, until: datetime, cuts: Sequence[Cut] = CUTS
) -> None:
    """Delete what the table of `grain` holds of [since, until) for the cuts."""
    connection.execute(
        f"DELETE FROM analytics_rollup_{grain} WHERE cut = ANY(%s) AND at >= %s AND at < %s",
        ([cut.number for cut in cuts], since, until),
    )


def slice_start(connection: psycopg.Connection, minute: datetime, moment: datetime) -> datetime:
    """Return where the slice of an open minute begins that holds `moment`; the minute when it has none yet."""
    row = connection.execute(
        "SELECT max(at) FROM analytics_rollup_minute WHERE cut = %s AND at >= %s AND at <= %s",
        (WHOLE.number, minute, moment),
    ).fetchone()
    return row[0] if row is not None and row[0] is not None else minute


def first_slice(connection: psycopg.Connection, since: datetime, until: datetime) -> datetime | None:
    """Return the first moment in [since, until) at which a slice begins that is not the first of its minute."""
    row = connection.execute(
        "SELECT min(at) FROM analytics_rollup_minute"
        " WHERE cut = %s AND at >= %s AND at < %s AND at <> date_trunc('minute', at)",
        (WHOLE.number, since, until),
    ).fetchone()
    return None if row is None else row[0]


def merge_slices(connection: psycopg.Connection, since: datetime, until: datetime, cut: Cut) -> bool:
    """Make one row a group of the slices of the minute [since, until); return whether there were any to merge."""
    row = connection.execute(
        "SELECT 1 FROM analytics_rollup_minute WHERE cut = %s AND at > %s AND at < %s LIMIT 1",
        (cut.number, since, until),
    ).fetchone()
    if row is None:
        return False
    slices = f"DELETE FROM analytics_rollup_minute {_IN_CUT.format(cut.number)} RETURNING *"
    connection.execute(_coarsening(slices, "minute", cut), {"since": since, "until": until})
    return True


_IN_CUT = "WHERE cut = {} AND at >= %(since)s AND at < %(until)s"


def _listed(names: Iterable[str], last: str = "") -> str:
    return ", ".join((*names, last) if last else names)


_COUNTS = tuple(f"nullif(count(*) FILTER (WHERE outcome = '{name}'), 0) AS {name}" for name in FAILURES)
_GROUP_CALLERS = f"""
INSERT INTO rollup_callers
SELECT at, {_listed(_CALLER)}, count(*), {_listed(f"sum({name})" for name in _SUMS)}, {_listed(_COUNTS)}
FROM rollup_rows GROUP BY at, {_listed(_CALLER)}
"""
_GROUP_CALLER_BINS = f"""
INSERT INTO rollup_caller_bins
SELECT at, {_listed(_CALLER)}, bin, count(*) FROM rollup_rows GROUP BY at, {_listed(_CALLER)}, bin
"""


def _insertion(grain: str, cut: Cut) -> str:
    """Return the statement that adds the rows at hand up for one cut: sums by names, calls by names and bin."""
    # The namespace is folded already.
    names = [cut.expressions.get(name, name) + f" AS {name}" for name in cut.names]
    keys = _listed(str(1 + position) for position in range(1 + len(names)))
    by_names, by_bins = f"GROUP BY {keys}", f"GROUP BY {keys}, bin"
    failures: Sequence[str] = [f"sum({name}) AS {name}" for name in FAILURES]
    sums: Sequence[str] = [f"sum({name}) AS {name}" for name in _SUMS]
    sums_of, bins_of, calls = "rollup_callers", "rollup_caller_bins", "sum(calls)"
    if cut is CALLERS:
        by_names = by_bins = ""  # they are grouped like that already
        failures, sums, calls = FAILURES, _SUMS, "calls"
    elif cut not in _BY_CALLER:
        sums_of = bins_of = "rollup_rows"
        failures, calls = _COUNTS, "count(*)"
    nothing = _listed("NULL" for _ in (*sums, *failures))
    return f"""
        INSERT INTO analytics_rollup_{grain} (cut, at, {_listed((*cut.names, *_COLUMNS))})
        SELECT {cut.number}, at, {_listed((*cut.names, *_totals()))}, array_agg(element) FILTER (WHERE element IS NOT NULL)
        FROM (
            SELECT at, {_listed((*names, f"{calls} AS calls", *sums, *failures))}, NULL::bigint AS element
            FROM {sums_of} WHERE {cut.rows} {by_names}
            UNION ALL
            SELECT at, {_listed(names, "NULL")}, {nothing}, (bin::bigint << {BIN_SHIFT}) | {calls}
            FROM {bins_of} WHERE {cut.rows} {by_bins}
        ) AS parts GROUP BY {_listed(("at", *cut.names))}{_neighbours(cut)}
    """  # noqa: E501


def _coarsening(rows: str, grain: str, cut: Cut) -> str:
    """Return the statement that adds up the rows of a query to one unit: sums as they are, histograms bin by bin."""
    names = "".join(f"{name}, " for name in cut.names)
    measures = ("calls", *_SUMS, *FAILURES)
    grouping = f"GROUP BY {_listed(cut.names)}" if cut.names else "HAVING count(*) > 0"
    return f"""
        WITH finer AS MATERIALIZED ({rows})
        INSERT INTO analytics_rollup_{grain} (cut, at, {_listed((*cut.names, *_COLUMNS))})
        SELECT {cut.number}, %(since)s, {names}{_listed(_totals())}, array_agg(element) FILTER (WHERE element IS NOT NULL)
        FROM (
            SELECT {names}{_listed(measures)}, NULL::bigint AS element FROM finer
            UNION ALL
            SELECT {names}{_listed("NULL" for _ in measures)},
                ((element >> {BIN_SHIFT}) << {BIN_SHIFT}) | sum(element & {CALLS_OF_BIN})::bigint
            FROM (SELECT {names}unnest(latency) AS element FROM finer) AS elements
            GROUP BY {names}element >> {BIN_SHIFT}
        ) AS parts {grouping}{_neighbours(cut)}
    """  # noqa: E501


def _neighbours(cut: Cut) -> str:
    """Return the order that puts rows of one user, or one tool, into the same blocks: they are asked for together."""
    name = next((name for name in ("user_id", "tool") if name in cut.names), None)
    return f" ORDER BY {name}" if name else ""


def _totals() -> list[str]:
    """Return the expressions that add the measures up; a sum beyond its column is cut, lest it stop the keeper."""
    sums = [f"least(sum({name}), {_BIGGEST}::numeric)::bigint" for name in ("calls", *_SUMS)]
    return [*sums, *(f"nullif(least(coalesce(sum({name}), 0), {(1 << 31) - 1}), 0)::integer" for name in FAILURES)]
