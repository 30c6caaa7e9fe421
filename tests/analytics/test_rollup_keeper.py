"""Keepers of the roll-ups as they run: killed at any moment, two at once, beside shippers, without a database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from analytics import rollups
from analytics.database import connect
from analytics.record import RequestRecord
from analytics.recorder import Recorder
from analytics.rollup_keeper import Keeper
from analytics.rollups import Retention
from analytics.shipper import Shipper
from tests import databases
from tests.analytics.rollup_truth import due, kept, truth
from tests.gateway import Gateway

RETENTION = Retention(2, 90, 1100)
APPLICATION = "test roll-ups"


def assert_exact(connection: psycopg.Connection, database: str) -> None:
    """Roll up what is left and compare every group with the log."""
    keeper = Keeper(partial(connect, APPLICATION, dict(conninfo_to_dict(database))), RETENTION)
    reach = keeper.catch_up().rolled_to
    assert due(kept(connection), reach) == due(truth(connection, reach), reach)


@contextmanager
def writing(journal: Path, make_shipper: Callable[[], Shipper], rate: float) -> Iterator[list[int]]:
    """Have a recorder write `rate` calls a second and a shipper ship them; yields the number of calls so far."""
    written, is_over, is_written = [0], threading.Event(), threading.Event()

    def write() -> None:
        recorder = Recorder(journal, 1 << 30)
        while not is_over.wait(10 / rate):
            assert all(recorder.put(record(written[0] + number)) for number in range(10))
            written[0] += 10
        recorder.close()

    writer = threading.Thread(target=write)
    shipping = threading.Thread(target=make_shipper().run, args=(is_written,))
    writer.start()
    shipping.start()
    try:
        yield written
    finally:
        is_over.set()
        writer.join(60)
        is_written.set()
        shipping.join(60)


def record(number: int) -> RequestRecord:
    """Return a call that began just now, or, one in seven, a while ago: its row comes late."""
    back = (0.0, 0.0, 0.4, 0.0, 2.5, 0.0, 70.0)[number % 7] if number % 3 == 0 else 0.0
    fails = number % 11 == 0
    return RequestRecord(
        id=f"{time.time_ns():032x}"[-32:],
        at=time.time() - back,
        namespace=f"ns-{number % 5}",
        upstream="files",
        key_id=number % 4,
        user_id=f"user-{number % 4}",
        method="tools/call",
        tool=f"tool-{number % 9}",
        outcome="timeout" if fails else "ok",
        reason="total_timeout" if fails else None,
        total_us=number * 37 % 100_000,
        request_bytes=number,
        response_bytes=number * 3,
    )


@contextmanager
def keeping(database: str) -> Iterator[Keeper]:
    """Have a keeper run in a thread."""
    parameters = dict(conninfo_to_dict(database))
    keeper = Keeper(partial(connect, APPLICATION, parameters), RETENTION, pause_s=0.02)
    thread = threading.Thread(target=keeper.run)
    thread.start()
    try:
        yield keeper
    finally:
        keeper.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_kept_beside_a_shipper_everything_is_exact(
    rollup_connection: psycopg.Connection, log_database: str, journal: Path, make_shipper: Callable[[], Shipper]
) -> None:
    with keeping(log_database), writing(journal, make_shipper, rate=1500) as written:
        time.sleep(6)
        lag = rollups.lag_s(rollup_connection)
    assert lag is not None and lag < 15
    assert rollup_connection.execute("SELECT count(*) FROM analytics_requestlog").fetchone() == (written[0],)
    assert_exact(rollup_connection, log_database)


def test_killed_in_the_middle_of_steps_it_leaves_everything_exact(
    rollup_connection: psycopg.Connection, log_database: str, journal: Path, make_shipper: Callable[[], Shipper]
) -> None:
    killed = 0
    with writing(journal, make_shipper, rate=800):
        while killed < 8:
            process = subprocess.Popen([sys.executable, "-m", "tests.analytics.rollup_loop", log_database])
            try:
                await_work(rollup_connection)
                time.sleep(0.013 * killed)
                killed += 1
            finally:
                process.kill()
                process.wait()
    assert_exact(rollup_connection, log_database)


def await_work(connection: psycopg.Connection) -> None:
    """Return while a keeper's transaction is open, so that a kill falls into it."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND xact_start IS NOT NULL"
        " AND query ~ 'rollup_(rows|callers)|analytics_rollup' AND datname = current_database()"
    )
    deadline = time.monotonic() + 60
    while connection.execute(query, (APPLICATION,)).fetchone() == (0,):
        assert time.monotonic() < deadline, "no keeper works"
        time.sleep(0.002)


def test_two_at_once_without_an_office_are_exact_too(
    rollup_connection: psycopg.Connection, log_database: str, journal: Path, make_shipper: Callable[[], Shipper]
) -> None:
    failures: list[BaseException] = []

    def keep() -> None:
        try:
            keeper = Keeper(partial(connect, APPLICATION, dict(conninfo_to_dict(log_database))), RETENTION)
            until = time.monotonic() + 5
            while time.monotonic() < until:
                keeper.catch_up()
        except BaseException as error:
            failures.append(error)

    with writing(journal, make_shipper, rate=800):
        threads = [threading.Thread(target=keep) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not failures
    assert_exact(rollup_connection, log_database)


def test_only_one_keeper_works_and_the_next_takes_over(
    rollup_connection: psycopg.Connection, log_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.rollup_keeper._STAND_BY_S", 0.05)
    locked = "SELECT count(*), count(*) FILTER (WHERE granted) FROM pg_locks WHERE locktype = 'advisory' AND database ="
    locked += " (SELECT oid FROM pg_database WHERE datname = current_database())"
    with keeping(log_database):
        await_lag(rollup_connection, 5)
        with keeping(log_database):
            time.sleep(0.5)
            assert rollup_connection.execute(locked).fetchone() == (1, 1)
        assert rollup_connection.execute(locked).fetchone() == (1, 1)
    with keeping(log_database):
        rollup_connection.execute("DELETE FROM analytics_rollupstate")
        await_lag(rollup_connection, 5)


def await_lag(connection: psycopg.Connection, seconds: float) -> None:
    deadline = time.monotonic() + 30
    while (lag := rollups.lag_s(connection)) is None or lag > seconds:
        assert time.monotonic() < deadline, f"the roll-ups are {lag} s behind"
        time.sleep(0.05)


def test_a_lost_connection_is_opened_again(rollup_connection: psycopg.Connection, log_database: str) -> None:
    with keeping(log_database):
        await_lag(rollup_connection, 5)
        for _ in range(2):
            cut_off = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
            assert rollup_connection.execute(cut_off, (APPLICATION,)).rowcount == 1
            rollup_connection.execute("UPDATE analytics_rollupstate SET rolled_to = rolled_to - interval '50 s'")
            await_lag(rollup_connection, 5)


def test_it_stops_within_two_seconds_even_in_a_long_statement(
    rollup_connection: psycopg.Connection, log_database: str
) -> None:
    with keeping(log_database) as keeper:
        await_lag(rollup_connection, 5)
        with psycopg.connect(log_database) as blocker:
            blocker.execute("SELECT * FROM analytics_rollupstate FOR UPDATE")
            time.sleep(0.3)
            began = time.monotonic()
            keeper.stop()
            while rollup_connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (APPLICATION,)
            ).fetchone() != (0,):
                assert time.monotonic() - began < 2
                time.sleep(0.02)


def test_lateness_is_said_once_and_so_is_its_end(
    rollup_connection: psycopg.Connection, log_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    said: list[str] = []
    parameters = dict(conninfo_to_dict(log_database))
    rollup_connection.execute(
        "INSERT INTO analytics_rollupstate (rolled_to, minutes_from, hours_from, days_from)"
        " VALUES (now() - interval '5 hours', '2020-01-01', '2020-01-01', '2020-01-01')"
    )
    Keeper(partial(connect, APPLICATION, parameters), RETENTION, said.append).catch_up()
    texts = [entry.getMessage() for entry in caplog.records if entry.name == "analytics.rollup_keeper"]
    assert len(texts) == 2 and "behind" in texts[0] and texts[1] == "the roll-ups have caught up"
    assert said and said[0].startswith("rolled up to 20") and said[0].endswith(" %")


@pytest.fixture
def hanging_upstream() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/mcp"


def test_an_upstream_that_hangs_while_it_is_probed_does_not_hold_the_roll_ups_up(
    make_gateway: Callable[..., Gateway], hanging_upstream: str
) -> None:
    gateway = make_gateway(
        config={"upstreams": {"slow": {"url": hanging_upstream}}, "namespaces": {"slow": {"upstream": "slow"}}},
        env={"GATEWAY_PROBE_INTERVAL_S": "1"},
    )
    with psycopg.connect(gateway.sql_url, autocommit=True) as connection:
        await_lag(connection, 5)
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            lag = rollups.lag_s(connection)
            assert lag is not None and lag < 8
            time.sleep(0.2)
    assert gateway.query("SELECT ok FROM namespaces_upstreamstatus") in ([], [(False,)])


def test_maintain_once_rolls_everything_up(rollup_connection: psycopg.Connection, log_database: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "maintain", "--once"],
        cwd=databases.ROOT,
        env=os.environ | {"DATABASE_URL": log_database, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        check=True,
    )
    lag = rollups.lag_s(rollup_connection)
    assert lag is not None and lag < 30
