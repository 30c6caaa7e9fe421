"""What the queries say from roll-ups and trails is, to the unit, what they say from the log alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from analytics import queries, rollup_sql, rollup_trails, rollups
from analytics.database import connect
from analytics.queries import Reading, View
from analytics.rollup_cuts import CALLERS
from analytics.rollups import Retention
from keys.visibility import Scope
from tests.analytics.rollup_truth import call, store

pytestmark = pytest.mark.django_db(transaction=True)
RETENTION = Retention(minute_days=2, hour_days=90, day_days=1100)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TABLES = (
    "analytics_requestlog, analytics_rollup_minute, analytics_rollup_hour, analytics_rollup_day,"
    " analytics_rollup_trail, analytics_staleminute, analytics_staleday, analytics_rollupstate, analytics_trail"
)
SCOPES = (Scope(), Scope(namespaces=("crm", "git")), Scope(("crm", "wiki"), ("anna",)), Scope(user_ids=("ben", "anna")))
NAMES: tuple[dict[str, Any], ...] = (
    {},
    {"namespace": "crm"},
    {"user_id": "anna"},
    {"key_id": 2},
    {"upstream": "one", "user_id": "ben"},
    {"namespace": "wiki", "tool": "search"},
    {"tool": "get", "key_id": 1, "user_id": "anna"},
)


@pytest.fixture
def log() -> Iterator[psycopg.Connection]:
    with connect("tests") as connection:
        connection.execute(f"TRUNCATE {TABLES}")
        connection.prepare_threshold = None
        rollup_sql.prepare(connection)
        yield connection
        connection.execute(f"TRUNCATE {TABLES}")


def invented(chance: random.Random, now: datetime) -> dict[str, Any]:
    # Most of it lately, some long ago.
    at = now - timedelta(seconds=40 * 86400 * chance.random() ** 3)
    user = chance.choice(("anna", "ben", "carl"))
    fails = chance.random() < 0.2
    return call(
        at,
        namespace=chance.choice(("crm", "wiki", "git")),
        upstream=chance.choice(("one", "two")),
        user_id=user,
        key_id={"anna": 1, "ben": 2, "carl": 3}[user],
        tool=chance.choice(("search", "get", "put")),
        outcome=chance.choice(("timeout", "limited", "tool_error")) if fails else "ok",
        reason=chance.choice(("one", "two", None)) if fails else None,
        total_us=int(chance.lognormvariate(9, 2)),
    )


def keep_house(connection: psycopg.Connection) -> None:
    while True:
        step = rollups.step(connection, RETENTION)
        day = rollups.add_up_stale_day(connection, RETENTION, waits=-DAY)
        if not step.is_behind and day is None:
            break
    while rollup_trails.build_one(connection):
        pass


def everything(reading: Reading, view: View) -> dict[str, Any]:
    """Return what every query says of a view, in no particular order where ties are."""
    by = ("namespace", "user_id")
    return {
        "totals": queries.totals(reading, view),
        "series": queries.series(reading, view, HOUR),
        "days": queries.series(reading, view, DAY),
        "callers": queries.ranking(reading, view, by, limit=500),
        "tools": queries.ranking(reading, view, ("tool", "namespace"), "p95", limit=500, count_users=True),
        "keys": queries.ranking(reading, view, ("key_id", "upstream"), "errors", limit=500),
        "endings": queries.endings(reading, view),
        "users": queries.active_users(reading, view),
    }


def compared(days: float, names: dict[str, Any], scope: Scope) -> tuple[Any, Any]:
    """Return what is said with the roll-ups and without them, of the same period."""
    with queries.reading() as reading:
        # Whole days at its old end, as every cut has them.
        since = (reading.now - days * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
        view = View(since, reading.now, scope, **names)
        rolled = everything(reading, view)
        assert reading.rolled_to is not None
        raw = everything(Reading(reading.now), view)
    return rolled, raw


@pytest.mark.parametrize("late", [False, True], ids=["in time", "with late rows"])
def test_every_query_says_the_same_with_and_without_roll_ups(log: psycopg.Connection, late: bool) -> None:
    chance, now = random.Random(11), datetime.now(UTC)
    store(log, [invented(chance, now) for _ in range(4000)])
    keep_house(log)
    if late:
        # Days that the trails cover, hours that are complete, and this minute.
        for back in (20 * DAY, 3 * DAY, 5 * HOUR, timedelta(seconds=5)):
            store(log, [call(now - back, namespace="crm", user_id="anna", total_us=123_456)])
        rollups.step(log, RETENTION)  # minutes and hours; the days are stale, and their trails with them
    checked = 0
    for days in (0, 1, 6, 29, 38):
        for names in NAMES:
            for scope in SCOPES:
                rolled, raw = compared(days, names, scope)
                assert rolled == raw, (days, names, scope)
                checked += rolled["totals"].calls
    assert checked > 10_000


def test_trails_are_used_spoilt_and_built_anew(log: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    store(log, [call(now - days * DAY) for days in range(1, 32)])
    keep_house(log)

    def trail(days: int) -> tuple[Any, ...] | None:
        return log.execute(
            "SELECT is_exact,"
            " (SELECT sum(calls)::int FROM analytics_rollup_trail r WHERE r.cut = t.cut AND r.at = since)"
            " FROM analytics_trail t WHERE cut = %s AND days = %s",
            (CALLERS.number, days),
        ).fetchone()

    assert trail(6) == (True, 6) and trail(29) == (True, 29)
    store(log, [call(now - 10 * DAY, user_id="late")])
    rollups.step(log, RETENTION)
    with queries.reading() as reading:
        assert len(reading.stale_days) == 1
    assert rollups.add_up_stale_day(log, RETENTION, waits=-DAY) is not None
    assert trail(6) == (True, 6) and trail(29) == (False, 29)  # not that old: six days know nothing of the tenth
    with queries.reading() as reading:
        assert len(reading.trails[CALLERS.number]) == 1
    assert rollup_trails.build_one(log) is None  # it waits, lest each late row should cost a month's work
    assert rollup_trails.build_one(log, now=now + timedelta(minutes=11)) is not None
    assert trail(29) == (True, 30)
