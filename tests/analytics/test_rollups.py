"""The roll-ups equal the log, to the unit: in every cut and grain, with late rows, after any sequence of steps."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics import partitions, rollups
from analytics.record import OUTCOMES
from analytics.rollups import Retention
from tests.analytics.rollup_truth import call, due, kept, store, truth

RETENTION = Retention(minute_days=2, hour_days=90, day_days=1100)
# A Wednesday noon: far from the turn of a month or a year.
NOON = datetime(2026, 6, 17, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)
REASONS = {"denied": ("tool_denied", "name_unknown", "namespace_unknown"), "ok": (None, None, None, "opened", "closed")}


def work(connection: psycopg.Connection, now: datetime, retention: Retention = RETENTION) -> datetime:
    """Take steps until nothing is left to do, stale days included; return up to when the roll-ups reach."""
    while True:
        step = rollups.step(connection, retention, now)
        day = rollups.add_up_stale_day(connection, retention, now, waits=-DAY)
        if not step.is_behind and day is None:
            return step.rolled_to


def assert_exact(connection: psycopg.Connection, now: datetime, retention: Retention = RETENTION) -> None:
    """Compare every group of every grain with the log, for as long ago as the grain is kept."""
    reach = work(connection, now, retention)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since = {
        "minute": midnight - retention.minute_days * DAY,
        "hour": midnight - retention.hour_days * DAY,
        "day": midnight - retention.day_days * DAY,
    }
    found, expected = (
        {group: sums for group, sums in due(groups, reach).items() if group[1] >= since[group[0]]}
        for groups in (kept(connection), truth(connection, reach))
    )
    assert found == expected


def invented(chance: random.Random, since: datetime, until: datetime) -> dict[str, Any]:
    """Return a row of any kind, somewhere in [since, until)."""
    at = since + (until - since) * chance.random()
    if chance.random() < 0.05:
        nobody: dict[str, Any] = {"user_id": None, "key_id": None, "upstream": None, "tool": None, "method": "POST"}
        made_up = chance.choice((None, "guessed"))
        return call(at, **nobody, namespace=made_up, outcome="unauthenticated", reason="credential_unknown")
    outcome = "ok" if chance.random() < 0.8 else chance.choice(OUTCOMES)
    return call(
        at,
        namespace=chance.choice(("crm", "wiki", "git")),
        upstream=chance.choice(("one", "two", None)),
        user_id=chance.choice(("anna", "ben")),
        key_id=chance.randrange(3),
        method=chance.choice(("tools/call", "tools/call", "tools/list", "resources/read")),
        tool=chance.choice(("search", "get", "doc://x", None)),
        outcome=outcome,
        reason=chance.choice(REASONS.get(outcome, (None, "some_reason"))),
        total_us=int(chance.lognormvariate(9, 2)),
        request_bytes=chance.randrange(1000),
        response_bytes=chance.randrange(1 << 20),
    )


def test_a_day_recomputed_from_the_log_equals_every_cut_and_grain(rollup_connection: psycopg.Connection) -> None:
    chance = random.Random(7)
    store(rollup_connection, [invented(chance, NOON - 36 * HOUR, NOON) for _ in range(6000)])
    assert_exact(rollup_connection, NOON + 5 * MINUTE)
    assert {grain for grain, *_ in kept(rollup_connection)} == {"minute", "hour", "day"}


def test_percentiles_are_within_five_percent(rollup_connection: psycopg.Connection) -> None:
    chance = random.Random(8)
    store(rollup_connection, [invented(chance, NOON - 36 * HOUR, NOON - 12 * HOUR) for _ in range(6000)])
    work(rollup_connection, NOON)
    found, checked = kept(rollup_connection, ("hour", "day")), 0
    for group, sums in truth(rollup_connection, NOON - SECOND, ("hour", "day")).items():
        if sums.calls < 20:
            continue
        for share in (0.5, 0.95, 0.99):
            ((exact,),) = rollup_connection.execute(
                "SELECT percentile_disc(%s) WITHIN GROUP (ORDER BY us) FROM unnest(%s::bigint[]) AS us",
                (share, sums.durations),
            ).fetchall()
            assert found[group].percentile_us(share) == pytest.approx(exact, rel=0.05)
            checked += 1
    assert checked > 100


def test_late_rows_count_in_their_minute_hour_and_day(rollup_connection: psycopg.Connection) -> None:
    now = NOON + 30 * MINUTE
    first = [call(now - back) for back in (9 * DAY, 5 * DAY, DAY, 2 * HOUR, 2 * MINUTE)]
    store(rollup_connection, first)
    assert_exact(rollup_connection, now)
    # In the minute being filled, an earlier one, the hour before, yesterday, where no minutes are kept any more, and
    # where there was no row at all.
    for back in (5 * SECOND, 2 * MINUTE, 2 * HOUR, DAY, 5 * DAY, 9 * DAY, 7 * DAY):
        store(rollup_connection, [call(now - back, user_id="late", total_us=77)])
        assert_exact(rollup_connection, now)


def test_a_minute_is_filled_slice_by_slice_and_whole_in_the_end(rollup_connection: psycopg.Connection) -> None:
    def slices() -> int:
        query = "SELECT count(*) FROM analytics_rollup_minute WHERE cut = 7 AND at >= %s"
        return rollup_connection.execute(query, (NOON,)).fetchone()[0]  # type: ignore[index]

    store(rollup_connection, [call(NOON - MINUTE)])
    for second in range(4, 54, 10):
        store(rollup_connection, [call(NOON + second * SECOND + part * SECOND / 3) for part in range(7)])
        assert_exact(rollup_connection, NOON + (second + 6) * SECOND)
    assert slices() == 5
    store(rollup_connection, [call(NOON + 35 * SECOND, total_us=9)])  # late: what follows is one slice from now on
    assert_exact(rollup_connection, NOON + 61 * SECOND)
    assert slices() == 4
    store(rollup_connection, [call(NOON + 25 * SECOND, user_id="late"), call(NOON + 55 * SECOND)])
    assert_exact(rollup_connection, NOON + 62 * SECOND)
    assert slices() == 3
    assert not rollups.merge_slices(rollup_connection, RETENTION, NOON + 119 * SECOND)
    while rollups.merge_slices(rollup_connection, RETENTION, NOON + 120 * SECOND):
        assert_exact(rollup_connection, NOON + 62 * SECOND)
    assert slices() == 1
    per_group = "SELECT max(rows) FROM (SELECT count(*) AS rows FROM analytics_rollup_minute WHERE at >= %s GROUP BY "
    per_group += "cut, namespace, upstream, user_id, key_id, tool, reason) AS groups"
    assert rollup_connection.execute(per_group, (NOON,)).fetchone() == (1,)
    store(rollup_connection, [call(NOON + 40 * SECOND, user_id="very late")])
    assert_exact(rollup_connection, NOON + 5 * MINUTE)
    assert slices() == 1


def test_steps_with_nothing_new_change_nothing(rollup_connection: psycopg.Connection) -> None:
    chance = random.Random(9)
    store(rollup_connection, [invented(chance, NOON - 30 * HOUR, NOON) for _ in range(500)])
    work(rollup_connection, NOON)
    tables = [f"SELECT ctid, xmin, at, calls FROM analytics_rollup_{grain}" for grain in ("hour", "day")]
    before = [rollup_connection.execute(query).fetchall() for query in tables]
    for _ in range(3):
        work(rollup_connection, NOON)
    assert [rollup_connection.execute(query).fetchall() for query in tables] == before
    assert_exact(rollup_connection, NOON)


def test_an_empty_log_is_rolled_up_to_the_present_and_first_rows_follow(rollup_connection: psycopg.Connection) -> None:
    assert rollups.lag_s(rollup_connection) is None
    assert work(rollup_connection, NOON) == NOON - SECOND
    assert kept(rollup_connection) == {}
    store(rollup_connection, [call(NOON), call(NOON - 3 * HOUR)])
    assert_exact(rollup_connection, NOON + MINUTE)


def test_an_old_log_without_marks_is_rolled_up_hour_by_hour(rollup_connection: psycopg.Connection) -> None:
    chance = random.Random(10)
    rows = [invented(chance, NOON - 4 * DAY, NOON - 2 * HOUR) for _ in range(800)]
    store(rollup_connection, rows, marked=False)
    first = min(row["at"] for row in rows)
    step = rollups.step(rollup_connection, RETENTION, NOON)
    assert step.is_behind and step.began_at <= first and step.rolled_to == step.began_at + HOUR
    assert_exact(rollup_connection, NOON)
    # Minutes are not made for days whose minutes are not kept.
    assert min(unit for grain, unit, *_ in kept(rollup_connection) if grain == "minute") >= NOON - 2.5 * DAY


def test_after_a_stop_of_days_everything_is_there(rollup_connection: psycopg.Connection) -> None:
    chance = random.Random(11)
    store(rollup_connection, [invented(chance, NOON - 8 * HOUR, NOON) for _ in range(300)])
    work(rollup_connection, NOON + 17 * SECOND)
    store(rollup_connection, [invented(chance, NOON, NOON + 5 * DAY) for _ in range(600)])
    assert_exact(rollup_connection, NOON + 5 * DAY + 3 * MINUTE)


def test_a_complete_day_waits_a_minute_for_late_rows_and_is_marked_meanwhile(
    rollup_connection: psycopg.Connection,
) -> None:
    midnight = datetime(2026, 6, 18, tzinfo=UTC)
    store(rollup_connection, [call(midnight - HOUR), call(midnight - MINUTE)])
    work(rollup_connection, midnight - 10 * SECOND)
    rollups.step(rollup_connection, RETENTION, midnight + 5 * SECOND)
    stale = "SELECT day::text FROM analytics_staleday"
    assert rollup_connection.execute(stale).fetchall() == [("2026-06-17",)]
    assert rollups.add_up_stale_day(rollup_connection, RETENTION, midnight + 30 * SECOND) is None
    rollups.step(rollup_connection, RETENTION, midnight + 70 * SECOND)
    assert str(rollups.add_up_stale_day(rollup_connection, RETENTION, midnight + 70 * SECOND)) == "2026-06-17"
    assert rollup_connection.execute(stale).fetchall() == []
    assert_exact(rollup_connection, midnight + 75 * SECOND)


def test_strangers_and_made_up_names_do_not_fill_the_tables(rollup_connection: psycopg.Connection) -> None:
    at = NOON - 3 * HOUR
    nobody: dict[str, Any] = {"user_id": None, "key_id": None, "upstream": None, "tool": None, "method": "POST"}
    strangers = [
        call(at, **nobody, namespace=f"guess-{number}", outcome="unauthenticated", reason="credential_unknown")
        for number in range(50)
    ]
    holders = [
        *(call(at, namespace=f"try-{n}", outcome="denied", reason="namespace_unknown", tool=None) for n in range(50)),
        *(call(at, tool=f"name-{n}", outcome="denied", reason="tool_denied") for n in range(50)),
        *(call(at, tool=f"odd-{n}", outcome="denied", reason="name_unknown") for n in range(50)),
        *(call(at, tool=f"doc://{n}", method="resources/read", outcome="rpc_error") for n in range(50)),
    ]
    store(rollup_connection, [*strangers, *holders])
    assert_exact(rollup_connection, NOON)
    for grain in ("minute", "hour"):
        assert rollup_connection.execute(f"SELECT count(*) FROM analytics_rollup_{grain}").fetchone()[0] < 25  # type: ignore[index]
        names = f"SELECT DISTINCT coalesce(namespace, '') FROM analytics_rollup_{grain} ORDER BY 1"
        assert rollup_connection.execute(names).fetchall() == [("",), ("demo",)]
        assert rollup_connection.execute(f"SELECT count(tool) FROM analytics_rollup_{grain}").fetchone() == (0,)


def test_absurd_numbers_do_not_stop_the_work(rollup_connection: psycopg.Connection) -> None:
    most = (1 << 63) - 1
    store(rollup_connection, [call(NOON - 2 * HOUR, total_us=most, request_bytes=most) for _ in range(3)])
    store(rollup_connection, [call(NOON - 2 * HOUR, total_us=-5, request_bytes=0, user_id="x")])
    work(rollup_connection, NOON)
    assert rollup_connection.execute("SELECT calls FROM analytics_rollup_hour WHERE cut = 7").fetchall() == [(4,)]


def test_a_clock_that_jumps_back_loses_nothing(rollup_connection: psycopg.Connection) -> None:
    store(rollup_connection, [call(NOON - HOUR)])
    assert work(rollup_connection, NOON) == NOON - SECOND
    store(rollup_connection, [call(NOON - 2 * MINUTE), call(NOON + 2 * SECOND)])
    assert work(rollup_connection, NOON - 5 * MINUTE) == NOON - SECOND
    assert_exact(rollup_connection, NOON + MINUTE)


MOMENTS = st.one_of(
    st.integers(0, 120).map(lambda back: back * SECOND),
    st.integers(0, 180).map(lambda back: back * MINUTE),
    st.integers(0, 120).map(lambda back: back * HOUR),
)
DOINGS = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), st.lists(MOMENTS, min_size=1, max_size=5), st.integers(0, 1 << 30)),
        st.tuples(st.just("pass"), st.integers(0, 4500), st.just(0)),
        st.tuples(st.just("step"), st.just(0), st.just(0)),
        st.tuples(st.just("day"), st.just(0), st.just(0)),
        st.tuples(st.just("merge"), st.just(0), st.just(0)),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(doings=DOINGS)
def test_any_sequence_of_rows_and_steps_ends_exact(rollup_connection: psycopg.Connection, doings: list[Any]) -> None:
    for table in ("requestlog", "rollup_minute", "rollup_hour", "rollup_day", "staleminute", "staleday", "rollupstate"):
        rollup_connection.execute(f"DELETE FROM analytics_{table}")
    now = datetime(2026, 6, 17, 22, 58, 30, tzinfo=UTC)
    for doing, what, seed in doings:
        if doing == "rows":
            chance = random.Random(seed)
            store(rollup_connection, [invented(chance, now - back, now - back + SECOND / 2) for back in what])
        elif doing == "pass":
            now += what * SECOND
        elif doing == "step":
            rollups.step(rollup_connection, RETENTION, now)
        elif doing == "merge":
            rollups.merge_slices(rollup_connection, RETENTION, now)
        else:
            rollups.add_up_stale_day(rollup_connection, RETENTION, now)
    assert_exact(rollup_connection, now + SECOND)


def test_what_was_added_up_stays_when_the_log_is_dropped(rollup_connection: psycopg.Connection) -> None:
    old = NOON - 6 * DAY
    store(rollup_connection, [call(old), call(old + MINUTE), call(NOON - HOUR)])
    assert_exact(rollup_connection, NOON)
    before = kept(rollup_connection)
    rollup_connection.execute(f"DROP TABLE {partitions.partition_name(old.date())}")
    # A mark that was made just before: there are no rows any more that could be added up.
    rollup_connection.execute("INSERT INTO analytics_staleminute (minute) VALUES (%s)", (old,))
    rollup_connection.execute("INSERT INTO analytics_staleday (day) VALUES (%s)", (old.date(),))
    work(rollup_connection, NOON)
    assert kept(rollup_connection) == before
