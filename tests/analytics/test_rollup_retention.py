"""Each grain of the roll-ups is kept for as long as its setting says, and dropped by whole partitions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from analytics import partitions, rollups
from analytics.rollups import Retention
from tests.analytics.rollup_truth import call, days_of, kept, store
from tests.analytics.test_rollups import DAY, HOUR, MINUTE, assert_exact, work

KEPT = Retention(minute_days=1, hour_days=20, day_days=400)
NOON = datetime(2026, 6, 17, 12, 0, tzinfo=UTC)


def attached(connection: psycopg.Connection, of: partitions.Partitioned) -> list[date]:
    return [day for _, day, is_attached, _ in partitions.existing(connection, of) if is_attached]


@pytest.fixture
def empty(rollup_connection: psycopg.Connection) -> psycopg.Connection:
    """Return a connection to tables without a partition."""
    for of in partitions.ALL:
        partitions.drop_before(rollup_connection, date(9999, 1, 1), of)
    return rollup_connection


@pytest.mark.parametrize(
    ("of", "name", "first", "after"),
    [
        (partitions.LOG, "analytics_requestlog_20261231", date(2026, 12, 31), date(2027, 1, 1)),
        (partitions.MINUTES, "analytics_rollup_minute_20261231", date(2026, 12, 31), date(2027, 1, 1)),
        (partitions.HOURS, "analytics_rollup_hour_202612", date(2026, 12, 1), date(2027, 1, 1)),
        (partitions.DAYS, "analytics_rollup_day_2026", date(2026, 1, 1), date(2027, 1, 1)),
    ],
)
def test_a_partition_is_named_by_its_day_month_or_year(
    of: partitions.Partitioned, name: str, first: date, after: date
) -> None:
    day = date(2026, 12, 31)
    assert (of.name(day), of.first_day(day), of.next_day(day), of.day_of(name)) == (name, first, after, first)
    assert of.day_of(f"{name}0") is None and of.day_of("analytics_rollup_hour_cut") is None


def test_partitions_of_every_table_are_made_ahead_once(empty: psycopg.Connection) -> None:
    today = datetime.now(UTC).date()
    assert partitions.create_ahead(empty, 0, partitions.ALL) == 4
    assert partitions.create_ahead(empty, 0, partitions.ALL) == 0
    assert [attached(empty, of) for of in partitions.ALL] == [[of.first_day(today)] for of in partitions.ALL]


def test_each_grain_is_dropped_when_its_time_has_come_and_not_before(
    empty: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    backs = (0, 1, 2, 18, 25, 60, 200)
    store(empty, [call(NOON - back * DAY - HOUR) for back in backs])
    work(empty, NOON + MINUTE, Retention(400, 400, 1100))
    everything = kept(empty)
    assert {len(days_of(everything, grain)) for grain in ("minute", "hour")} == {len(backs)}
    assert rollups.drop_old(empty) == 0

    work(empty, NOON + MINUTE, KEPT)
    caplog.set_level("INFO")
    # Five days of minutes, and the months November and April; of May the last days are kept, so it stays.
    assert rollups.drop_old(empty) == 5 + 2
    assert sum("dropped" in record.getMessage() for record in caplog.records) == 2
    left = kept(empty)
    assert sorted((NOON.date() - day).days for day in days_of(left, "minute")) == [0, 1]
    assert sorted((NOON.date() - day).days for day in days_of(left, "hour")) == [0, 1, 2, 18, 25]
    assert len(days_of(left, "day")) == len(backs) - 1
    assert left == {group: everything[group] for group in left}

    work(empty, NOON + 2 * MINUTE, Retention(0, 1, 1))
    assert rollups.drop_old(empty) == 1 + 1 + 1
    assert days_of(kept(empty), "minute") == {NOON.date()}


def test_the_state_says_from_when_on_each_grain_is_kept_and_never_takes_it_back(empty: psycopg.Connection) -> None:
    query = "SELECT minutes_from, hours_from, days_from FROM analytics_rollupstate"
    midnight = NOON - 12 * HOUR
    work(empty, NOON, KEPT)
    expected = (midnight - DAY, midnight - 20 * DAY, midnight - 400 * DAY)
    assert empty.execute(query).fetchone() == expected
    work(empty, NOON + MINUTE, Retention(9, 99, 999))
    assert empty.execute(query).fetchone() == expected
    work(empty, NOON + DAY, KEPT)
    assert empty.execute(query).fetchone() == tuple(moment + DAY for moment in expected)


def test_rows_older_than_the_minutes_go_into_hours_and_rows_older_than_the_hours_into_days(
    empty: psycopg.Connection,
) -> None:
    retention = Retention(minute_days=1, hour_days=3, day_days=9)
    store(empty, [call(NOON - HOUR - back * DAY) for back in range(12)])
    assert_exact(empty, NOON, retention)
    store(empty, [call(NOON - HOUR - back * DAY, tool="late") for back in range(12)])
    assert_exact(empty, NOON + MINUTE, retention)
    found = kept(empty)
    assert [len(days_of(found, grain)) for grain in ("minute", "hour", "day")] == [2, 4, 9]


def test_a_partition_that_was_taken_away_comes_back(empty: psycopg.Connection) -> None:
    store(empty, [call(NOON - HOUR)])
    work(empty, NOON)
    empty.execute(f"DROP TABLE {partitions.MINUTES.name(NOON.date())}")
    store(empty, [call(NOON + 30 * timedelta(seconds=1))])
    assert work(empty, NOON + MINUTE) == NOON + MINUTE - timedelta(seconds=1)
    assert attached(empty, partitions.MINUTES) == [NOON.date()]


def test_nothing_is_dropped_before_there_is_a_state(empty: psycopg.Connection) -> None:
    partitions.create(empty, [date(2020, 1, 1)], partitions.MINUTES)
    assert rollups.drop_old(empty) == 0
