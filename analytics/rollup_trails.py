"""Keeps the trails: sums of the last complete days of the cuts with many names, made anew after each midnight."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import psycopg

from analytics import rollup_sql
from analytics.rollup_cuts import TRAILS, Cut, midnight

# How long a trail that late rows have made wrong stays so; meanwhile its days are read.
_REBUILT_AFTER = timedelta(minutes=10)


def spoil(connection: psycopg.Connection, day: date) -> None:
    """Note, in the transaction that adds a day up anew, that the trails over it are no longer exact."""
    connection.execute(
        "UPDATE analytics_trail SET is_exact = false WHERE is_exact AND since <= %(day)s AND until > %(day)s",
        {"day": midnight(day)},
    )


def build_one(connection: psycopg.Connection, now: datetime | None = None) -> tuple[Cut, int] | None:
    """Build the next trail that is due; return its cut and its days, or None when none is.

    One transaction, behind the lock of the state's row, so the days that it reads do not change meanwhile.
    """
    with connection.transaction():
        row = connection.execute(
            "SELECT rolled_to, days_from, clock_timestamp() FROM analytics_rollupstate FOR UPDATE"
        ).fetchone()
        if row is None:
            return None
        rolled_to, days_from, clock = (moment.astimezone(UTC) for moment in row)
        until = midnight(rolled_to.date())
        due = _due(connection, until, days_from, now or clock)
        if due is None:
            return None
        cut, days = due
        since = until - timedelta(days=days)
        _forget(connection, cut, days)
        rollup_sql.coarsen(connection, "day", "trail", since, until, (cut,))
        connection.execute(
            "INSERT INTO analytics_trail (cut, days, since, until) VALUES (%s, %s, %s, %s)",
            (cut.number, days, since, until),
        )
        return due


def _due(connection: psycopg.Connection, until: datetime, days_from: datetime, now: datetime) -> tuple[Cut, int] | None:
    """Return the first trail that is missing, ends too early or has been wrong for a while, the shortest first."""
    found = {
        (cut, days): (end.astimezone(UTC), is_exact, built_at)
        for cut, days, end, is_exact, built_at in connection.execute(
            "SELECT cut, days, until, is_exact, built_at FROM analytics_trail"
        ).fetchall()
    }
    stale = [midnight(day) for (day,) in connection.execute("SELECT day FROM analytics_staleday").fetchall()]
    for days, cuts in sorted(TRAILS.items()):
        since = until - timedelta(days=days)
        if since < days_from or any(since <= day < until for day in stale):
            continue
        for cut in cuts:
            end, is_exact, built_at = found.get((cut.number, days), (None, False, None))
            if end != until or (not is_exact and (built_at is None or now - built_at > _REBUILT_AFTER)):
                return cut, days
    return None


def _forget(connection: psycopg.Connection, cut: Cut, days: int) -> None:
    """Delete a trail as it was."""
    row = connection.execute(
        "DELETE FROM analytics_trail WHERE cut = %s AND days = %s RETURNING since", (cut.number, days)
    ).fetchone()
    if row is not None:
        connection.execute("DELETE FROM analytics_rollup_trail WHERE cut = %s AND at = %s", (cut.number, row[0]))
