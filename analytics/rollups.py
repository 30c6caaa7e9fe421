"""Keeps the roll-ups equal to the log: each step adds up what is new, late or due, and commits it with the state.

Whatever is interrupted leaves nothing behind; steps of several processes come one after the other, because each
locks the state's row first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg import sql

from analytics import partitions, rollup_sql, rollup_trails
from analytics.rollup_cuts import CUTS, WHOLE, Cut

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# Rows of the last second may still be on their way; readers take them from the log.
_SETTLING = timedelta(seconds=1)
# How long a complete day waits for more late rows before it is added up anew.
_DAY_WAITS = timedelta(seconds=60)
# How long after its end a minute stays in slices, because calls that took long come late; and when it is too late.
_SLICES_LAST, _MERGED_WITHIN = timedelta(seconds=60), timedelta(hours=3)
# Late rows of at most so many different hours are worked off in one step, the newest first.
_LATE_HOURS = 6
_BY_MINUTE = tuple(cut for cut in CUTS if "minute" in cut.grains)
_BRIEFLY_HOURLY = tuple(cut for cut in CUTS if not cut.keeps_hours)


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days before today each grain is kept."""

    minute_days: int
    hour_days: int
    day_days: int


@dataclass(frozen=True, slots=True)
class State:
    """What the tables hold: every row before `rolled_to`, and each grain from its moment on."""

    rolled_to: datetime
    minutes_from: datetime
    hours_from: datetime
    days_from: datetime


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
        is_far = latest - state.rolled_to > _HOUR
        target = _hour(state.rolled_to) + _HOUR if is_far else max(state.rolled_to, latest)
        stale, more = _stale_minutes(connection, state, target)
        work = _Work(connection, state, target)
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
        _Work(connection, state, state.rolled_to).roll_day(row[0])
        return date.fromisoformat(str(row[0]))


def merge_slices(connection: psycopg.Connection, retention: Retention, now: datetime | None = None) -> bool:
    """Make one row a group of a minute's slices, in one cut; return whether there was something to merge.

    For minutes of the last hours that have been over for a minute. One transaction of its own.
    """
    with connection.transaction():
        now = now or _clock(connection)
        state = _locked_state(connection, retention, now)
        until = min(_minute(now - _SLICES_LAST), _minute(state.rolled_to))
        since = max(until - _MERGED_WITHIN, state.minutes_from)
        found = rollup_sql.first_slice(connection, since, until) if since < until else None
        if found is None:
            return False
        minute = _minute(found)
        # The cut that told us comes last.
        for cut in (*(cut for cut in _BY_MINUTE if cut is not WHOLE), WHOLE):
            if rollup_sql.merge_slices(connection, minute, minute + _MINUTE, cut):
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


class _Work:
    """One step's work on the tables, up to the moment `target`."""

    def __init__(self, connection: psycopg.Connection, state: State, target: datetime) -> None:
        self.connection, self.state, self.target = connection, state, target

    def roll_hour(self, hour: datetime, minutes: dict[datetime, datetime]) -> None:
        """Add an hour's stale minutes up and, when it is complete, the hour. `minutes`: see `_stale_minutes`."""
        log = self._log(hour.date())
        if log is None:
            return  # the rows are gone, and what was added up of them stays
        is_complete = hour + _HOUR <= self.target
        if hour >= self.state.minutes_from:
            self._roll_minutes(log, minutes)
        if is_complete and hour >= self.state.hours_from:
            self._roll_complete_hour(log, hour)

    def _roll_complete_hour(self, log: str, hour: datetime) -> None:
        """Add an hour up: the cuts that have minutes from those where they are kept, and the others from the log."""
        cuts = self._hourly(hour.date())
        by_minute = tuple(cut for cut in cuts if cut in _BY_MINUTE) if hour >= self.state.minutes_from else ()
        by_log = tuple(cut for cut in cuts if cut not in by_minute)
        self._clear("hour", hour, hour + _HOUR, cuts)
        rollup_sql.coarsen(self.connection, "minute", "hour", hour, hour + _HOUR, by_minute)
        if by_log:
            rollup_sql.forget(self.connection)
            rollup_sql.take(self.connection, log, hour, hour + _HOUR, hour, by_log[0] if len(by_log) == 1 else None)
            rollup_sql.add_up(self.connection, "hour", by_log)

    def _hourly(self, day: date) -> tuple[Cut, ...]:
        """Return the cuts that have hours of `day`."""
        is_recent = day >= self.target.date() - _DAY
        return tuple(cut for cut in CUTS if cut.keeps_hours or is_recent)

    def _roll_minutes(self, log: str, minutes: dict[datetime, datetime]) -> None:
        """Add minutes up from where on they have changed: new ones as a whole, others in slices.

        A step adds a slice to the minute that is being filled and need not read it all. A late row makes it read from
        the slice on in which that row is. `merge_slices` makes one of them once late rows have become rare.
        """
        starts = {minute: self._start(minute, earliest) for minute, earliest in minutes.items()}
        taken = 0
        for since, until in _runs(
            minute for minute, start in starts.items() if start == minute and minute + _MINUTE <= self.target
        ):
            self._clear("minute", since, until)
            taken += rollup_sql.take(self.connection, log, since, until, "minute")
            starts = {minute: start for minute, start in starts.items() if not since <= minute < until}
        for minute, start in starts.items():
            self._clear("minute", start, minute + _MINUTE)
            taken += rollup_sql.take(self.connection, log, start, min(minute + _MINUTE, self.target), start)
        if taken:  # a gateway without calls costs next to nothing
            rollup_sql.add_up(self.connection, "minute", _BY_MINUTE)

    def _start(self, minute: datetime, earliest: datetime) -> datetime:
        """Return from where on a minute must be added up, when nothing from `earliest` on is in it."""
        if earliest >= self.state.rolled_to:
            return max(minute, self.state.rolled_to)
        return rollup_sql.slice_start(self.connection, minute, earliest)

    def note_days(self, touched: Iterable[date], now: datetime) -> None:
        """Mark days to be added up: those that have just become complete, and complete ones that got late rows."""
        before, after = self.state.rolled_to.date(), self.target.date()
        for day in sorted(touched):
            if not day < after or _midnight(day) < self.state.days_from:
                continue
            if _midnight(day) < self.state.hours_from:
                self.roll_day(day)  # there are no hours that readers could take instead
                continue
            self.connection.execute(
                "INSERT INTO analytics_staleday (day, marked_at) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                # A day that was completed long ago, in a backfill, need not wait.
                (day, _midnight(day) + _DAY if day >= before else now),
            )

    def roll_day(self, day: date) -> None:
        """Add a complete day up: from its hours and, where no hours are kept (of it or of a cut), from the log."""
        since, until = _midnight(day), _midnight(day) + _DAY
        log = self._log(day)
        by_hour = self._hourly(day) if since >= self.state.hours_from else ()
        by_log = tuple(cut for cut in CUTS if cut not in by_hour) if log is not None else ()
        self._clear("day", since, until, (*by_hour, *by_log))
        rollup_sql.coarsen(self.connection, "hour", "day", since, until, by_hour)
        if by_log and log is not None:
            rollup_sql.forget(self.connection)
            rollup_sql.take(self.connection, log, since, until, since, by_log[0] if len(by_log) == 1 else None)
            rollup_sql.add_up(self.connection, "day", by_log)
        # Hours of the days before are no longer asked for in these cuts, nor would late rows bring them up to date.
        before = _midnight(self.target.date() - _DAY)
        rollup_sql.delete(self.connection, "hour", self.state.hours_from, before, _BRIEFLY_HOURLY)
        rollup_trails.spoil(self.connection, day)

    def _clear(self, grain: str, since: datetime, until: datetime, cuts: tuple[Cut, ...] = CUTS) -> None:
        """Make room for what is added up anew."""
        of = partitions.ROLLUPS[grain]
        if not partitions.is_attached(self.connection, since.date(), of):
            partitions.create(self.connection, [since.date()], of)
        rollup_sql.delete(self.connection, grain, since, until, cuts)

    def _log(self, day: date) -> str | None:
        """Return the log's partition of a day, held until the commit; None when it has been dropped."""
        name = partitions.LOG.name(day)
        if self.connection.execute("SELECT to_regclass(%s) IS NULL", (name,)).fetchone() == (True,):
            return None
        self.connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(name)))
        return name


def _locked_state(connection: psycopg.Connection, retention: Retention, now: datetime) -> State:
    """Return the state with what is kept as of today, its row locked. The first one begins at the log's first row."""
    kept = tuple(_midnight(now.date() - timedelta(days=days)) for days in astuple(retention))
    query = "SELECT rolled_to, minutes_from, hours_from, days_from FROM analytics_rollupstate FOR UPDATE"
    row = connection.execute(query).fetchone()
    if row is None:
        first = connection.execute("SELECT min(at) FROM analytics_requestlog").fetchone()
        latest = _settled(now)
        begin = min(_hour(first[0]), latest) if first is not None and first[0] is not None else latest
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
        minute = _minute(moment)
        stale[minute] = min(moment, stale.get(minute, moment))
    moment = state.rolled_to
    while moment < target:
        minute = _minute(moment)
        stale[minute] = min(moment, stale.get(minute, moment))
        moment = minute + _MINUTE
    waiting = connection.execute(
        "SELECT EXISTS (SELECT FROM analytics_staleminute WHERE minute < %s)", (state.rolled_to,)
    ).fetchone()
    return stale, waiting == (True,)


def _by_hour(minutes: dict[datetime, datetime]) -> dict[datetime, dict[datetime, datetime]]:
    found: dict[datetime, dict[datetime, datetime]] = {}
    for minute, earliest in sorted(minutes.items()):
        found.setdefault(_hour(minute), {})[minute] = earliest
    return found


def _runs(minutes: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """Join minutes that follow each other to periods."""
    found: list[tuple[datetime, datetime]] = []
    for minute in sorted(minutes):
        if found and found[-1][1] == minute:
            found[-1] = (found[-1][0], minute + _MINUTE)
        else:
            found.append((minute, minute + _MINUTE))
    return found


def _settled(now: datetime) -> datetime:
    return (now - _SETTLING).astimezone(UTC).replace(microsecond=0)


def _clock(connection: psycopg.Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101
    return row[0].astimezone(UTC)


def _minute(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _hour(moment: datetime) -> datetime:
    return _minute(moment).replace(minute=0)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
