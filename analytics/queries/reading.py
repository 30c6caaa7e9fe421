"""One consistent look at the database: all numbers of a page or an answer come from the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from analytics.rollup_cuts import Cut

# cut -> what was added up at once: (first moment, end)
Trails = dict[int, list[tuple[datetime, datetime]]]
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class BucketTooFineError(ValueError):
    """The log is not kept that finely for so long ago; the message says what is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the roll-ups cover at the snapshot's moment.

    Everything before `rolled_to` is in them (None: nothing is): minutes from `minutes_from` on, hours from
    `hours_from` on and days from `days_from` on, except `stale_days`, whose hours are right and whose sum is not yet.
    `trails` are the runs of days that were added up at once, by cut.
    """

    now: datetime
    rolled_to: datetime | None = None
    minutes_from: datetime | None = None
    hours_from: datetime | None = None
    days_from: datetime | None = None
    stale_days: frozenset[datetime] = field(default_factory=frozenset)
    trails: Trails = field(default_factory=dict)

    def for_cut(self, cut: Cut) -> Reading:
        """Return what is kept of one cut: some have hours of today and yesterday only."""
        if cut.keeps_hours or self.rolled_to is None or self.hours_from is None:
            return self
        yesterday = floor(self.rolled_to, _DAY) - _DAY
        return replace(
            self,
            hours_from=max(self.hours_from, yesterday),
            minutes_from=max(self.minutes_from or yesterday, yesterday),
        )

    def align(self, since: datetime) -> datetime:
        """Return the beginning of the minute, hour or day of `since`: the finest that is kept for that time."""
        if self.rolled_to is None or since >= self.rolled_to or since >= _known(self.minutes_from):
            return floor(since, _MINUTE)
        return floor(since, _HOUR if since >= _known(self.hours_from) else _DAY)

    def finest_bucket(self, since: datetime) -> timedelta:
        """Return the finest bucket of a time series that begins at `since`."""
        if self.rolled_to is None or since >= _known(self.minutes_from):
            return _MINUTE
        return _HOUR if since >= _known(self.hours_from) else _DAY

    def check_bucket(self, since: datetime, bucket: timedelta) -> None:
        """Raise BucketTooFineError when the log is kept more coarsely than `bucket` at `since`."""
        finest = self.finest_bucket(since)
        if bucket < finest:
            named = "a day" if finest == _DAY else "an hour"
            raise BucketTooFineError(f"so long ago the finest bucket is {named}; choose that, or a shorter period")


def _known(moment: datetime | None) -> datetime:
    return datetime.max.replace(tzinfo=UTC) if moment is None else moment


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the last multiple of `step` since 1970 (UTC) that is not after `moment`."""
    seconds, width = int(moment.timestamp()), int(step.total_seconds())
    return datetime.fromtimestamp(seconds - seconds % width, UTC)


def ceil(moment: datetime, step: timedelta) -> datetime:
    """Return the first multiple of `step` since 1970 (UTC) that is not before `moment`."""
    lower = floor(moment, step)
    return lower if lower == moment else lower + step


@contextmanager
def reading() -> Iterator[Reading]:
    """Open a read-only snapshot with the statement timeout of analytic queries.

    Raises django.db.OperationalError, here and inside, when a statement takes longer than GATEWAY_ANALYTICS_TIMEOUT_MS.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Inside a transaction that has already read (as in tests), the level can no longer be chosen.
        if not connection.savepoint_ids and connection.in_atomic_block:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Compiling a plan over dozens of partitions takes seconds and saves none. One process a statement: calls
        # have the other cores.
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('jit', 'off', true),"
            " set_config('work_mem', '64MB', true), set_config('max_parallel_workers_per_gather', '0', true)",
            [str(settings.ANALYTICS_TIMEOUT_MS)],
        )
        cursor.execute(
            """
            SELECT clock_timestamp(), rolled_to, minutes_from, hours_from, days_from,
                   ARRAY(SELECT day::timestamp AT TIME ZONE 'UTC' FROM analytics_staleday),
                   ARRAY(SELECT cut FROM analytics_trail WHERE is_exact ORDER BY cut, days),
                   ARRAY(SELECT since FROM analytics_trail WHERE is_exact ORDER BY cut, days),
                   ARRAY(SELECT until FROM analytics_trail WHERE is_exact ORDER BY cut, days)
            FROM (VALUES (1)) AS one LEFT JOIN analytics_rollupstate ON true
            """
        )
        now, rolled_to, minutes, hours, days, stale, cuts, begins, ends = cursor.fetchone()
        trails: Trails = {}
        for cut, begin, end in zip(cuts, begins, ends, strict=True):
            trails.setdefault(cut, []).append((begin, end))
        yield Reading(now, rolled_to, minutes, hours, days, frozenset(stale), trails)
