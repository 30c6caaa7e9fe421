"""The shipper as a process: as `serve` runs it, and `manage.py ship --once` as an operator does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from analytics.record import RequestRecord
from analytics.recorder import Recorder
from analytics.shipper import DirectoryLock
from tests import databases

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(log_database: str, journal: Path) -> Start:
    """Return a function that starts it on the journal directory and the database: with options, the command."""

    def start(*options: str, url: str = log_database) -> subprocess.Popen[str]:
        environment = os.environ | {
            "DATABASE_URL": url,
            "DATABASE_DIRECT_URL": url,
            "GATEWAY_JOURNAL_DIR": str(journal),
        }
        module = ("manage.py", "ship", *options) if options else ("-m", "gateway_project.server.shipper")
        command = [sys.executable, *module]
        return subprocess.Popen(command, cwd=databases.ROOT, env=environment, stderr=subprocess.PIPE, text=True)

    return start


def put(journal: Path, count: int) -> Recorder:
    recorder = Recorder(journal, 1 << 24)
    for _ in range(count):
        assert recorder.put(RequestRecord(id=os.urandom(16).hex(), at=time.time()))
    return recorder


def rows(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT count(*) FROM analytics_requestlog").fetchone()[0]  # type: ignore[index]


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_once_ships_what_is_there_and_ends(start: Start, journal: Path, log_connection: psycopg.Connection) -> None:
    put(journal, 100).close()
    process = start("--once")
    assert process.wait(30) == 0
    assert rows(log_connection) == 100 and not list(journal.glob("*.copy"))


def test_sigterm_ships_the_rest_first(start: Start, journal: Path, log_connection: psycopg.Connection) -> None:
    process = start()
    recorder = put(journal, 10)
    wait_for(lambda: rows(log_connection) == 10)
    for _ in range(5000):
        recorder.put(RequestRecord(id=os.urandom(16).hex(), at=time.time()))
    recorder.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert rows(log_connection) == 5010 and not list(journal.glob("*.copy"))


def test_a_second_one_waits_says_so_and_takes_over(
    start: Start, journal: Path, log_connection: psycopg.Connection
) -> None:
    lock = DirectoryLock(journal)
    lock.take()
    put(journal, 10).close()
    process = start()
    assert process.stderr is not None
    assert f"process {os.getpid()} already ships this journal directory" in process.stderr.readline()
    assert rows(log_connection) == 0
    once = start("--once")
    assert once.wait(30) == 1
    assert once.stderr is not None and "Nothing was shipped" in once.stderr.read()
    lock.release()
    wait_for(lambda: rows(log_connection) == 10)
    process.terminate()
    assert process.wait(30) == 0


def test_once_without_a_database_says_why_and_fails(start: Start, journal: Path) -> None:
    put(journal, 1).close()
    process = start("--once", url="postgresql://nobody@127.0.0.1:1/none")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be shipped" in said and "127.0.0.1" in said
    assert len(list(journal.glob("*.copy"))) == 1
