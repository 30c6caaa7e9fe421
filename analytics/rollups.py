"""Keeps the roll-ups equal to the log: each step adds up what is new, late or due, and commits it with the state.

Whatever is interrupted leaves nothing behind; steps of several processes come one after the other, because each
locks the state's row first.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from analytics import partitions, rollup_sql
from analytics.rollup_cuts import WHOLE
from analytics.rollup_work import BY_MINUTE, HOUR, MINUTE, State, Work, hour_of, midnight, minute_of

# Rows of the last second may still be on their way; readers take them from the log.
_SETTLING = timedelta(seconds=1)
# How long a complete day waits for more late rows before it is added up anew.
_DAY_WAITS = timedelta(seconds=60)
# How long after its end a minute stays in slices, because calls that took long come late; and when it is too late.
_SLICES_LAST, _MERGED_WITHIN = timedelta(seconds=60), timedelta(hours=3)
# Late rows of at most so many different hours are worked off in one step, the newest first.
_LATE_HOURS = 6


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days before today each grain is kept."""

    minute_days: int
    hour_days: int
    day_days: int


@dataclass(frozen=True, slots=True)
class Step:
    """What a step has done: `began_at` and `rolled_to` are the state's before and after it, `now` the database's clock.

    `is_behind`: another step would find work at once.
    """

    began_at: datetime
    rolled_to: datetime
    now: datetime
    is_behind: bool


def lag_s(connection: Any) -> float | None:
    """Return how many seconds the roll-ups are behind the clock; None when nothing was ever rolled up.

    Args: connection: of psycopg or of Django.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp() - rolled_to) FROM analytics_rollupstate")
        row = cursor.fetchone()
    return None if row is None else max(0.0, float(row[0]))


def step(connection: psycopg.Connection, retention: Retention, now: datetime | None = None) -> Step:
    """Bring the roll-ups forward: to the present, or by one hour when they are more than that behind.

    Args: connection: prepared by `rollup_sql.prepare`, in autocommit mode; now: the database's clock when None.
    Everything is one transaction. It reads what others commit meanwhile (READ COMMITTED): the marks of late rows are
    deleted first, so a row whose mark is gone is seen by the statements after it.
    """
    with connection.transaction():
        now = now or _clock(connection)
        state = _locked_state(connection, retention, now)
        latest = _settled(now)
        is_far = latest - state.rolled_to > HOUR
        target = hour_of(state.rolled_to) + HOUR if is_far else max(state.rolled_to, latest)
        stale, more = _stale_minutes(connection, state, target)
        work = Work(connection, state, target)
        for number, (hour, minutes) in enumerate(sorted(_by_hour(stale).items())):
            if number:
                rollup_sql.forget(connection)
            work.roll_hour(hour, minutes)
        work.note_days({hour.date() for hour in _by_hour(stale)}, now)
        connection.execute(
            "UPDATE analytics_rollupstate SET rolled_to = %s, minutes_from = %s, hours_from = %s, days_from = %s,"
            " worked_at = clock_timestamp()",
            (target, state.minutes_from, state.hours_from, state.days_from),
        )
    return Step(state.rolled_to, target, now, more or is_far)


def add_up_stale_day(
    connection: psycopg.Connection, retention: Retention, now: datetime | None = None, waits: timedelta = _DAY_WAITS
) -> date | None:
    """Add one complete day up anew, the first that got rows at least `waits` ago; return it, or None if none is due.

    One transaction of its own, so that a large day does not keep the minutes waiting in the tables.
    """
    with connection.transaction():
        now = now or _clock(connection)
        state = _locked_state(connection, retention, now)
        row = connection.execute(
            "DELETE FROM analytics_staleday WHERE day = (SELECT day FROM analytics_staleday"
            " WHERE marked_at <= %s ORDER BY day LIMIT 1) RETURNING day",
            (now - waits,),
        ).fetchone()
        if row is None:
            return None
        Work(connection, state, state.rolled_to).roll_day(row[0])
        return date.fromisoformat(str(row[0]))


def merge_slices(connection: psycopg.Connection, retention: Retention, now: datetime | None = None) -> bool:
    """Make one row a group of a minute's slices, in one cut; return whether there was something to merge.

    For minutes of the last hours that have been over for a minute. One transaction of its own.
    """
    with connection.transaction():
        now = now or _clock(connection)
        state = _locked_state(connection, retention, now)
        until = min(minute_of(now - _SLICES_LAST), minute_of(state.rolled_to))
        since = max(until - _MERGED_WITHIN, state.minutes_from)
        found = rollup_sql.first_slice(connection, since, until) if since < until else None
        if found is None:
            return False
        minute = minute_of(found)
        # The cut that told us comes last.
        for cut in (*(cut for cut in BY_MINUTE if cut is not WHOLE), WHOLE):
            if rollup_sql.merge_slices(connection, minute, minute + MINUTE, cut):
                return True
    return False


def drop_old(connection: psycopg.Connection) -> int:
    """Drop the partitions of each grain that the state says are kept no longer; return how many were dropped.

    The state moves first, in a step, so readers have long stopped asking for what is dropped.
    """
    row = connection.execute("SELECT minutes_from, hours_from, days_from FROM analytics_rollupstate").fetchone()
    if row is None:
        return 0
    kept = zip(partitions.ROLLUPS.values(), row, strict=True)
    return sum(partitions.drop_before(connection, moment.astimezone(UTC).date(), of) for of, moment in kept)


def _locked_state(connection: psycopg.Connection, retention: Retention, now: datetime) -> State:
    """Return the state with what is kept as of today, its row locked. The first one begins at the log's first row."""
    kept = tuple(midnight(now.date() - timedelta(days=days)) for days in astuple(retention))
    query = "SELECT rolled_to, minutes_from, hours_from, days_from FROM analytics_rollupstate FOR UPDATE"
    row = connection.execute(query).fetchone()
    if row is None:
        first = connection.execute("SELECT min(at) FROM analytics_requestlog").fetchone()
        latest = _settled(now)
        begin = min(hour_of(first[0]), latest) if first is not None and first[0] is not None else latest
        connection.execute(
            "INSERT INTO analytics_rollupstate (rolled_to, minutes_from, hours_from, days_from)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (begin, *kept),
        )
        row = connection.execute(query).fetchone()
        assert row is not None  # noqa: S101
    rolled_to, *since = (moment.astimezone(UTC) for moment in row)
    # What was dropped once does not come back when it is to be kept for longer.
    return State(rolled_to, *(max(pair) for pair in zip(since, kept, strict=True)))


def _stale_minutes(
    connection: psycopg.Connection, state: State, target: datetime
) -> tuple[dict[datetime, datetime], bool]:
    """Return the minutes to add up, each with the earliest moment that is not in it yet, and whether others must wait.

    Those are the minutes that the state moves over, and those that the shipper has marked. The marks are deleted.
    """
    marks = connection.execute(
        """
        DELETE FROM analytics_staleminute WHERE minute < %(target)s AND date_trunc('hour', minute) IN (
            SELECT date_trunc('hour', minute) FROM analytics_staleminute WHERE minute < %(target)s
            GROUP BY 1 ORDER BY 1 DESC LIMIT %(hours)s)
        RETURNING minute
        """,
        {"target": target, "hours": _LATE_HOURS},
    ).fetchall()
    stale: dict[datetime, datetime] = {}
    for (moment,) in marks:
        minute = minute_of(moment)
        stale[minute] = min(moment, stale.get(minute, moment))
    moment = state.rolled_to
    while moment < target:
        minute = minute_of(moment)
        stale[minute] = min(moment, stale.get(minute, moment))
        moment = minute + MINUTE
    waiting = connection.execute(
        "SELECT EXISTS (SELECT FROM analytics_staleminute WHERE minute < %s)", (state.rolled_to,)
    ).fetchone()
    return stale, waiting == (True,)


def _by_hour(minutes: dict[datetime, datetime]) -> dict[datetime, dict[datetime, datetime]]:
    found: dict[datetime, dict[datetime, datetime]] = {}
    for minute, earliest in sorted(minutes.items()):
        found.setdefault(hour_of(minute), {})[minute] = earliest
    return found


def _settled(now: datetime) -> datetime:
    return (now - _SETTLING).astimezone(UTC).replace(microsecond=0)


def _clock(connection: psycopg.Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101
    return row[0].astimezone(UTC)
