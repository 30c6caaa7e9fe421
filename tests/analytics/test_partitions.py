"""Daily partitions: made ahead, made once whoever asks, dropped when they are old, even after an interruption."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from analytics import partitions

TODAY = datetime.now(UTC).date()


@pytest.fixture
def empty(log_connection: psycopg.Connection) -> psycopg.Connection:
    """Return a connection to a log without a partition."""
    for name, *_ in partitions.existing(log_connection):
        log_connection.execute(f"DROP TABLE {name}")
    return log_connection


def days(connection: psycopg.Connection) -> list[date]:
    return [day for _, day, attached, _ in partitions.existing(connection) if attached]


def insert(connection: psycopg.Connection, day: date) -> None:
    connection.execute(
        "INSERT INTO analytics_requestlog (id, at, outcome, http_status, total_us, request_bytes, response_bytes)"
        " VALUES (gen_random_uuid(), %s, 'ok', 200, 1, 1, 1)",
        (datetime(day.year, day.month, day.day, 23, 59, 59, 999999, tzinfo=UTC),),
    )


def test_partitions_are_made_ahead_once(empty: psycopg.Connection) -> None:
    assert partitions.create_ahead(empty, 3) == 4
    assert partitions.create_ahead(empty, 3) == 0
    assert days(empty) == [TODAY + timedelta(days=ahead) for ahead in range(4)]
    insert(empty, TODAY)


def test_a_partition_has_the_indexes_of_the_log(empty: psycopg.Connection) -> None:
    partitions.create(empty, [TODAY])
    name = partitions.partition_name(TODAY)
    count = "SELECT count(*) FROM pg_indexes WHERE tablename = %s"
    assert empty.execute(count, (name,)).fetchone() == empty.execute(count, (partitions.TABLE,)).fetchone()


def test_old_days_are_dropped_with_what_was_kept_about_them(empty: psycopg.Connection) -> None:
    made = [TODAY - timedelta(days=back) for back in (0, 30, 31, 400)]
    partitions.create(empty, made)
    for day in made:
        insert(empty, day)
    for back in (30, 31):
        empty.execute(
            "INSERT INTO analytics_journalfile (id, done_at) VALUES (gen_random_uuid(), %s)",
            (TODAY - timedelta(days=back),),
        )
    empty.execute("INSERT INTO analytics_journalfile (id, created_at) VALUES (gen_random_uuid(), '2001-01-01')")
    assert partitions.drop_behind(empty, 30) == 2
    assert days(empty) == [made[1], made[0]]
    assert empty.execute("SELECT count(*) FROM analytics_requestlog").fetchone() == (2,)
    # A file that is not done is kept, however old: its offset still matters.
    assert empty.execute("SELECT count(*) FROM analytics_journalfile").fetchone() == (2,)
    assert partitions.drop_behind(empty, 30) == 0


def test_a_drop_that_was_interrupted_is_finished(empty: psycopg.Connection, log_database: str) -> None:
    pending, detached = TODAY - timedelta(days=50), TODAY - timedelta(days=51)
    partitions.create(empty, [pending, detached])
    empty.execute(f"ALTER TABLE {partitions.TABLE} DETACH PARTITION {partitions.partition_name(detached)}")
    # A reader keeps the concurrent detach waiting between its two transactions, where it is cut off.
    with psycopg.connect(log_database) as reader:
        reader.execute("SELECT count(*) FROM analytics_requestlog")
        empty.execute("SET statement_timeout = 300")
        with pytest.raises(psycopg.errors.QueryCanceled):
            partitions.drop_behind(empty, 30)
        empty.execute("RESET statement_timeout")
    assert [is_pending for _, day, _, is_pending in partitions.existing(empty) if day == pending] == [True]
    partitions.drop_behind(empty, 30)
    assert partitions.existing(empty) == []


def test_a_detached_day_comes_back_with_its_rows_when_it_is_wanted_again(empty: psycopg.Connection) -> None:
    partitions.create(empty, [TODAY])
    insert(empty, TODAY)
    empty.execute(f"ALTER TABLE {partitions.TABLE} DETACH PARTITION {partitions.partition_name(TODAY)}")
    assert partitions.create(empty, [TODAY]) == 1
    insert(empty, TODAY)
    assert empty.execute("SELECT count(*) FROM analytics_requestlog").fetchone() == (2,)


def test_a_long_reader_does_not_hold_up_a_new_day(empty: psycopg.Connection, log_database: str) -> None:
    partitions.create(empty, [TODAY])
    with psycopg.connect(log_database) as reader:
        reader.execute("SELECT count(*) FROM analytics_requestlog")
        empty.execute("SET lock_timeout = 1000")
        assert partitions.create(empty, [TODAY + timedelta(days=1)]) == 1


@pytest.fixture
def connections(log_database: str) -> Iterator[list[psycopg.Connection]]:
    opened = [psycopg.connect(log_database, autocommit=True) for _ in range(4)]
    yield opened
    for connection in opened:
        connection.close()


def test_many_who_want_the_same_day_at_once_make_it_once(
    empty: psycopg.Connection, connections: list[psycopg.Connection]
) -> None:
    wanted, made = [TODAY + timedelta(days=ahead) for ahead in range(5)], []
    threads = [
        threading.Thread(target=lambda c=connection: made.append(partitions.create(c, wanted)))
        for connection in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sum(made) == 5 and len(made) == 4 and days(empty) == wanted
