"""Who announces: nothing while nobody watches, a bounded number of rows otherwise, and never at shipping's expense."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from analytics import live_announcer
from analytics.database import connect
from analytics.journal import Journal
from analytics.lines import LineFormatter
from analytics.live_announcer import MAX_ROWS_PER_S, WATCHED_LOCK, Announcer
from analytics.live_rows import CHANNEL, rows_of
from analytics.record import RequestRecord
from analytics.shipper import Shipper
from tests import databases
from tests.gateway import wait_for


@pytest.fixture
def url(migrated_database: str) -> Iterator[str]:
    made = databases.copy(migrated_database)
    yield made
    databases.drop(made)


@contextmanager
def announcing(url: str) -> Iterator[Announcer]:
    announcer = Announcer(partial(connect, "test announcer", dict(conninfo_to_dict(url))))
    announcer.start()
    try:
        yield announcer
    finally:
        announcer.stop()


@contextmanager
def watching(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        connection.execute("SELECT pg_advisory_lock_shared(%s)", (WATCHED_LOCK,))
        yield connection


def lines(count: int, name: str = "t") -> bytes:
    make = LineFormatter().format
    return b"".join(
        make(RequestRecord(id=f"{number:032x}", at=time.time(), tool=f"{name}{number}")) for number in range(count)
    )


def heard(connection: psycopg.Connection, seconds: float) -> tuple[list[str], int]:
    """Return the tools of the rows that were announced, and how many rows were left out."""
    tools: list[str] = []
    left_out = 0
    for notice in connection.notifies(timeout=seconds):
        rows, skipped = rows_of(notice.payload)
        tools += [row.fields["tool"] for row in rows]
        left_out += skipped
    return tools, left_out


def test_while_nobody_watches_nothing_is_announced(url: str) -> None:
    with announcing(url) as announcer, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}")  # hears everything, but does not count as somebody who watches
        for _ in range(20):
            announcer.put(lines(10))
            time.sleep(0.1)
        assert heard(connection, 0.5) == ([], 0)
        assert not announcer.watched and not announcer._waiting


def test_it_begins_with_the_first_viewer_and_ends_with_the_last(url: str) -> None:
    with announcing(url) as announcer:
        with watching(url) as connection:
            wait_for(lambda: announcer.watched, 2)
            announcer.put(lines(3))
            assert heard(connection, 0.5) == (["t0", "t1", "t2"], 0)
            with watching(url) as second:  # any number watch side by side
                announcer.put(lines(1, "both"))
                assert heard(connection, 0.5) == heard(second, 0.5) == (["both0"], 0)
        wait_for(lambda: not announcer.watched, 3)


def test_more_than_browsers_can_use_is_counted(url: str) -> None:
    count = 3 * MAX_ROWS_PER_S
    with announcing(url) as announcer, watching(url) as connection:
        wait_for(lambda: announcer.watched, 2)
        announcer.put(lines(count))
        announcer.put(lines(1, "later"))
        tools, left_out = heard(connection, 1.5)
        assert len(tools) + left_out == count + 1
        assert MAX_ROWS_PER_S <= len(tools) <= MAX_ROWS_PER_S * 1.2
        assert tools[0] == f"t{count - len(tools) + tools.count('later0')}", "the newest rows of a block are sent"


def test_rows_that_are_none_do_no_harm(url: str) -> None:
    with announcing(url) as announcer, watching(url) as connection:
        wait_for(lambda: announcer.watched, 2)
        announcer.put(b"junk\n\xff\xfe\n" + lines(1) + b"\t\t\n")
        assert heard(connection, 0.5) == (["t0"], 0)


@pytest.mark.alone
def test_shipping_goes_on_while_announcing_cannot(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another role may not even connect: everything that the announcer does fails, and every row is shipped."""
    journal = Journal(tmp_path)
    nowhere = dict(conninfo_to_dict(url)) | {"dbname": "no-such-database"}
    announcer = Announcer(partial(connect, "test announcer", nowhere))
    shipper = Shipper(tmp_path, partial(connect, "test", dict(conninfo_to_dict(url))), announce=announcer.put)
    announcer.start()
    announcer.watched = True  # as it was when the database refused
    took = []
    for _ in range(10):
        journal.append(lines(1))
        begun = time.monotonic()
        shipper.ship_all()
        took.append(time.monotonic() - begun)
        time.sleep(0.1)
    announcer.stop()
    shipper.close()
    journal.end_file()
    assert databases.query(url, "SELECT count(*) FROM analytics_journalreject") == [(0,)]
    assert databases.query(url, "SELECT sum(shipped_bytes) > 0 FROM analytics_journalfile") == [(True,)]
    assert announcer.failures >= 1 and not announcer.watched
    assert len([one for one in caplog.records if one.name == live_announcer.__name__]) == 1, "said once"
    assert sorted(took)[5] < 0.5


def test_a_killed_connection_is_made_anew(url: str) -> None:
    with announcing(url) as announcer, watching(url) as connection:
        wait_for(lambda: announcer.watched, 2)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test announcer'"
        databases.query(url, kill)
        wait_for(lambda: announcer.failures > 0, 5)
        wait_for(lambda: announcer.watched, 5)
        announcer.put(lines(1, "again"))
        assert heard(connection, 0.5)[0] == ["again0"]


@pytest.mark.parametrize("rows", [1, 1000])
def test_what_it_costs_while_nobody_watches(url: str, rows: int) -> None:
    announcer = Announcer(partial(connect, "test announcer", dict(conninfo_to_dict(url))))
    block = lines(rows)
    begun = time.process_time()
    for _ in range(100_000):
        announcer.put(block)
    each_ns = (time.process_time() - begun) / 100_000 * 1e9
    print(f"a block of {rows} rows that nobody watches: {each_ns:.0f} ns")
    assert each_ns < 5000
