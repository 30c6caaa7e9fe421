"""`manage.py seed_log`: as many rows as asked for, of everything there is, and roll-ups that equal them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import rollup_sql
from analytics.database import connect
from analytics.record import OUTCOMES
from analytics.seed_names import world
from analytics.seed_rows import rhythm
from tests import databases
from tests.analytics.rollup_truth import due, kept, truth

ROWS, DAYS = 60_000, 3


def seed(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "seed_log", *arguments],
        cwd=databases.ROOT,
        check=False,
        env=os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        text=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def seeded(migrated_database: str) -> Iterator[tuple[psycopg.Connection, str, str]]:
    """Yield a connection to a seeded database, its URL, and what the command printed."""
    url = databases.copy(migrated_database)
    sizes = ("--namespaces", "8", "--users", "30", "--tools", "40")
    done = seed(url, "--rows", str(ROWS), "--days", str(DAYS), *sizes, "--configuration")
    assert done.returncode == 0, done.stderr
    with connect("tests", dict(psycopg.conninfo.conninfo_to_dict(url))) as connection:
        rollup_sql.prepare(connection)
        yield connection, url, done.stdout
    databases.drop(url)


def column(connection: psycopg.Connection, query: str) -> list[object]:
    return [row[0] for row in connection.execute(query)]  # type: ignore[arg-type]


def test_it_fills_what_was_asked_for(seeded: tuple[psycopg.Connection, str, str]) -> None:
    connection, _, printed = seeded
    log = "FROM analytics_requestlog"
    assert column(connection, f"SELECT count(*) {log}") == [ROWS]
    assert len(column(connection, f"SELECT DISTINCT at::date {log}")) == DAYS
    assert set(column(connection, f"SELECT DISTINCT outcome {log}")) == set(OUTCOMES)
    failed = column(connection, f"SELECT count(*) {log} WHERE outcome <> 'ok'")[0]
    assert 0.03 < int(str(failed)) / ROWS < 0.06
    assert set(column(connection, f"SELECT DISTINCT reason {log} WHERE method = 'GET'")) == {"opened", "closed"}
    assert column(connection, f"SELECT max(at) < now() {log}") == [True]
    assert "added up to" in printed and "analytics_rollup_hour" in printed


def test_the_busiest_follow_zipf(seeded: tuple[psycopg.Connection, str, str]) -> None:
    counts = Counter(column(seeded[0], "SELECT user_id FROM analytics_requestlog WHERE user_id IS NOT NULL"))
    ranked = [calls for _, calls in counts.most_common()]
    assert len(ranked) == 30
    assert 1.5 < ranked[0] / ranked[1] < 2.2 and 6 < ranked[0] / ranked[9] < 16


def test_its_roll_ups_equal_its_rows(seeded: tuple[psycopg.Connection, str, str]) -> None:
    connection = seeded[0]
    ((until,),) = connection.execute("SELECT rolled_to FROM analytics_rollupstate").fetchall()
    assert due(kept(connection), until) == due(truth(connection, until), until)


def test_the_configuration_belongs_to_the_rows(seeded: tuple[psycopg.Connection, str, str]) -> None:
    connection = seeded[0]
    strays = """
        SELECT DISTINCT namespace, upstream, key_id, user_id FROM analytics_requestlog log
        WHERE namespace IS NOT NULL AND NOT EXISTS (
            SELECT FROM namespaces_mount mount
            JOIN namespaces_namespace space ON space.id = mount.namespace_id AND space.slug = log.namespace
            JOIN namespaces_upstream upstream ON upstream.id = mount.upstream_id AND upstream.slug = log.upstream
            JOIN keys_apikey key ON key.id = log.key_id AND key.user_id = log.user_id)
    """
    assert connection.execute(strays).fetchall() == []
    assert column(connection, "SELECT count(*) FROM keys_apikey") == [30 + 5]
    assert column(connection, "SELECT nextval(pg_get_serial_sequence('keys_apikey', 'id'))") == [36]


def test_invented_rows_are_not_mixed_with_others(seeded: tuple[psycopg.Connection, str, str]) -> None:
    done = seed(seeded[1], "--rows", "10", "--days", "1")
    assert done.returncode != 0 and "not empty" in done.stderr


@given(
    st.integers(0, 10**7),
    st.integers(1, 60),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_the_rhythm_spends_every_row_before_now(rows: int, days: int, now: datetime) -> None:
    found = rhythm(rows, days, now)
    hours = [hour for day in found.values() for hour in day]
    assert sum(calls for *_, calls in hours) == rows and len(found) == days and list(found)[-1] == now.date()
    assert all(calls >= 0 and begins + span <= now for begins, span, calls in hours)
    assert all(before[0] + timedelta(hours=1) == after[0] for before, after in pairwise(hours))


@pytest.mark.parametrize(("namespaces", "users", "tools"), [(50, 500, 20), (1, 1, 1), (120, 1300, 45)])
def test_names_are_as_many_as_asked_for_and_differ(namespaces: int, users: int, tools: int) -> None:
    found = world(namespaces, users, tools)
    assert len({namespace for namespace, _ in found.mounts}) == namespaces
    assert len({(tool.namespace, tool.name) for tool in found.tools}) == namespaces * tools
    assert len({user for user, _ in found.users}) == users
    assert len({key for key, _ in found.keys}) == len(found.keys) == users + -(-users // 7)
