"""Fixtures for the journal's tests: a database whose rows are really committed, and a shipper for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from analytics import rollup_sql
from analytics.database import connect
from analytics.shipper import Shipper
from tests import databases


@pytest.fixture(scope="module")
def log_database(migrated_database: str) -> Iterator[str]:
    """Yield the URL of a migrated database of the module's own."""
    url = databases.copy(migrated_database)
    yield url
    databases.drop(url)


@pytest.fixture
def log_connection(log_database: str) -> Iterator[psycopg.Connection]:
    """Yield a connection in autocommit mode to that database, its tables of this app emptied."""
    with connect("tests", dict(conninfo_to_dict(log_database))) as connection:
        connection.execute("TRUNCATE analytics_requestlog, analytics_journalfile, analytics_journalreject")
        yield connection


@pytest.fixture
def rollup_connection(log_connection: psycopg.Connection) -> psycopg.Connection:
    """Return the connection to an empty log, its roll-ups emptied too, prepared for their steps."""
    log_connection.execute(
        "TRUNCATE analytics_rollup_minute, analytics_rollup_hour, analytics_rollup_day, analytics_staleminute,"
        " analytics_staleday, analytics_rollupstate"
    )
    log_connection.prepare_threshold = None
    rollup_sql.prepare(log_connection)
    return log_connection


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return an empty journal directory."""
    directory = tmp_path / "journal"
    directory.mkdir()
    return directory


@pytest.fixture
def make_shipper(log_database: str, journal: Path) -> Iterator[Callable[[], Shipper]]:
    """Yield a function that makes a shipper of the journal directory to the database."""
    made: list[Shipper] = []

    def make() -> Shipper:
        made.append(Shipper(journal, partial(connect, "test shipper", dict(conninfo_to_dict(log_database)))))
        return made[-1]

    yield make
    for shipper in made:
        shipper.close()
