"""What one step does to the tables: minutes, hours and days added up that are new, late or complete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql

from analytics import partitions, rollup_sql, rollup_trails
from analytics.rollup_cuts import CUTS, Cut, midnight

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BY_MINUTE = tuple(cut for cut in CUTS if "minute" in cut.grains)
_BRIEFLY_HOURLY = tuple(cut for cut in CUTS if not cut.keeps_hours)


@dataclass(frozen=True, slots=True)
class State:
    """What the tables hold: every row before `rolled_to`, and each grain from its moment on."""

    rolled_to: datetime
    minutes_from: datetime
    hours_from: datetime
    days_from: datetime


class Work:
    """One step's work on the tables, up to the moment `target`."""

    def __init__(self, connection: psycopg.Connection, state: State, target: datetime) -> None:
        self.connection, self.state, self.target = connection, state, target

    def roll_hour(self, hour: datetime, minutes: dict[datetime, datetime]) -> None:
        """Add an hour's stale minutes up and, when it is complete, the hour. `minutes`: see `_stale_minutes`."""
        log = self._log(hour.date())
        if log is None:
            return  # the rows are gone, and what was added up of them stays
        is_complete = hour + HOUR <= self.target
        if hour >= self.state.minutes_from:
            self._roll_minutes(log, minutes)
        if is_complete and hour >= self.state.hours_from:
            self._roll_complete_hour(log, hour)

    def _roll_complete_hour(self, log: str, hour: datetime) -> None:
        """Add an hour up: the cuts that have minutes from those where they are kept, and the others from the log."""
        cuts = self._hourly(hour.date())
        by_minute = tuple(cut for cut in cuts if cut in BY_MINUTE) if hour >= self.state.minutes_from else ()
        by_log = tuple(cut for cut in cuts if cut not in by_minute)
        self._clear("hour", hour, hour + HOUR, cuts)
        rollup_sql.coarsen(self.connection, "minute", "hour", hour, hour + HOUR, by_minute)
        if by_log:
            rollup_sql.forget(self.connection)
            rollup_sql.take(self.connection, log, hour, hour + HOUR, hour, by_log[0] if len(by_log) == 1 else None)
            rollup_sql.add_up(self.connection, "hour", by_log)

    def _hourly(self, day: date) -> tuple[Cut, ...]:
        """Return the cuts that have hours of `day`."""
        is_recent = day >= self.target.date() - DAY
        return tuple(cut for cut in CUTS if cut.keeps_hours or is_recent)

    def _roll_minutes(self, log: str, minutes: dict[datetime, datetime]) -> None:
        """Add minutes up from where on they have changed: new ones as a whole, others in slices.

        A step adds a slice to the minute that is being filled and need not read it all. A late row makes it read from
        the slice on in which that row is. `merge_slices` makes one of them once late rows have become rare.
        """
        starts = {minute: self._start(minute, earliest) for minute, earliest in minutes.items()}
        taken = 0
        for since, until in _runs(
            minute for minute, start in starts.items() if start == minute and minute + MINUTE <= self.target
        ):
            self._clear("minute", since, until)
            taken += rollup_sql.take(self.connection, log, since, until, "minute")
            starts = {minute: start for minute, start in starts.items() if not since <= minute < until}
        for minute, start in starts.items():
            self._clear("minute", start, minute + MINUTE)
            taken += rollup_sql.take(self.connection, log, start, min(minute + MINUTE, self.target), start)
        if taken:  # a gateway without calls costs next to nothing
            rollup_sql.add_up(self.connection, "minute", BY_MINUTE)

    def _start(self, minute: datetime, earliest: datetime) -> datetime:
        """Return from where on a minute must be added up, when nothing from `earliest` on is in it."""
        if earliest >= self.state.rolled_to:
            return max(minute, self.state.rolled_to)
        return rollup_sql.slice_start(self.connection, minute, earliest)

    def note_days(self, touched: Iterable[date], now: datetime) -> None:
        """Mark days to be added up: those that have just become complete, and complete ones that got late rows."""
        before, after = self.state.rolled_to.date(), self.target.date()
        for day in sorted(touched):
            if not day < after or midnight(day) < self.state.days_from:
                continue
            if midnight(day) < self.state.hours_from:
                self.roll_day(day)  # there are no hours that readers could take instead
                continue
            self.connection.execute(
                "INSERT INTO analytics_staleday (day, marked_at) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                # A day that was completed long ago, in a backfill, need not wait.
                (day, midnight(day) + DAY if day >= before else now),
            )

    def roll_day(self, day: date) -> None:
        """Add a complete day up: from its hours and, where no hours are kept (of it or of a cut), from the log."""
        since, until = midnight(day), midnight(day) + DAY
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
        before = midnight(self.target.date() - DAY)
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


def _runs(minutes: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """Join minutes that follow each other to periods."""
    found: list[tuple[datetime, datetime]] = []
    for minute in sorted(minutes):
        if found and found[-1][1] == minute:
            found[-1] = (found[-1][0], minute + MINUTE)
        else:
            found.append((minute, minute + MINUTE))
    return found


def minute_of(moment: datetime) -> datetime:
    """Return the beginning of the minute (UTC) of a moment."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of the hour (UTC) of a moment."""
    return minute_of(moment).replace(minute=0)
