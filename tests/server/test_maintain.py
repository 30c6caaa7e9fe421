"""Housekeeping: what it makes, what it trims, and that one process does it however many there are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway_project.management.commands.maintain import OFFICE
from tests import databases
from tests.gateway import ROOT, Gateway, wait_for
from tests.upstreams.listening import started

HOLDER = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = "
    f"(SELECT oid FROM pg_database WHERE datname = current_database()) AND classid = {OFFICE >> 32} "
    f"AND objid = {OFFICE & 0xFFFFFFFF}"
)


@pytest.fixture
def prepared(migrated_database: str) -> Iterator[Gateway]:
    """A gateway's database and environment, with nothing running."""
    url = databases.copy(migrated_database)
    gateway = Gateway(database_url=url, env={"GATEWAY_PROBE_INTERVAL_S": "1"})
    yield gateway
    gateway.close()
    databases.drop(url)


def test_partitions_are_made_ahead_and_dropped_behind(prepared: Gateway) -> None:
    today = datetime.now(UTC).date()
    old = today - timedelta(days=100)
    prepared.query(
        f"CREATE TABLE analytics_requestlog_{old:%Y%m%d} PARTITION OF analytics_requestlog "
        f"FOR VALUES FROM ('{old} 00:00+00') TO ('{old + timedelta(days=1)} 00:00+00')"
    )
    prepared.manage("maintain", "--once")
    names = {
        str(name)
        for (name,) in prepared.query(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'analytics_requestlog_%'"
        )
    }
    ahead = {f"analytics_requestlog_{today + timedelta(days=days):%Y%m%d}" for days in range(3)}
    assert ahead <= names
    assert f"analytics_requestlog_{old:%Y%m%d}" not in names


def test_old_change_marks_go_and_the_newest_stays(prepared: Gateway) -> None:
    prepared.query("DELETE FROM namespaces_configurationchange")
    prepared.query(
        "INSERT INTO namespaces_configurationchange (at) SELECT now() - interval '3 days' FROM generate_series(1, 50)"
    )
    newest = prepared.query("SELECT max(id) FROM namespaces_configurationchange")
    prepared.manage("maintain", "--once")
    assert prepared.query("SELECT id FROM namespaces_configurationchange") == newest


def test_counters_of_quotas_go_when_their_period_ended_long_ago(prepared: Gateway) -> None:
    """More than a transaction's worth of old rows; what the retention just keeps, and what counts now, stays."""
    prepared.import_config({"quotas": {"daily": {"amount": 10}}})
    today = datetime.now(UTC).date()
    month = (today - timedelta(days=90)).replace(day=1)
    insert = """
        INSERT INTO keys_quotause (quota_id, spender, unit, begins, used)
        SELECT id, %s, %s, %s::date - step, 1 FROM keys_quota, generate_series(0, %s) AS step
    """
    kept = [
        ("kept", "calls/day", today, 0),
        ("kept", "calls/day", today - timedelta(days=90), 0),
        ("kept", "response_bytes/month", month, 0),
    ]
    gone = [
        ("gone", "calls/day", today - timedelta(days=91), 2500),
        ("gone", "calls/month", (month - timedelta(days=1)).replace(day=1), 0),
    ]
    for row in (*kept, *gone):
        prepared.query(insert, *row)
    prepared.manage("maintain", "--once")
    assert prepared.query("SELECT spender, count(*) FROM keys_quotause GROUP BY spender") == [("kept", 3)]


def test_upstreams_are_looked_at(prepared: Gateway) -> None:
    with started("tests.upstreams.echo_fast") as url:
        prepared.import_config({"namespaces": {"up": {"url": url}, "down": {"url": "http://127.0.0.1:10/mcp"}}})
        prepared.manage("maintain", "--once")
    status = "SELECT u.slug, s.ok FROM namespaces_upstreamstatus s JOIN namespaces_upstream u ON u.id = s.upstream_id"
    assert dict(prepared.query(status)) == {"up": True, "down": False}
    tools = "SELECT count(*) FROM namespaces_catalogueentry WHERE kind = 'tool'"
    assert prepared.query(tools)[0][0] == 5


def maintain(gateway: Gateway) -> subprocess.Popen[bytes]:
    command = [sys.executable, "manage.py", "maintain"]
    with gateway.log_path.open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=gateway.env, stdout=log, stderr=log)


def test_one_of_two_works_and_the_other_takes_over(prepared: Gateway) -> None:
    first = maintain(prepared)
    wait_for(lambda: prepared.query(HOLDER), 20, prepared.output)
    second = maintain(prepared)
    try:
        holder = prepared.query(HOLDER)
        assert len(holder) == 1
        os.kill(first.pid, signal.SIGKILL)
        wait_for(lambda: prepared.query(HOLDER) not in ([], holder), 30, prepared.output)
        assert second.poll() is None
        second.terminate()
        assert second.wait(10) == 0
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def test_it_goes_on_when_its_connection_was_cut(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    holder = wait_for(lambda: gateway.query(HOLDER), 20)
    maintainer = gateway.pid_of("maintain")
    gateway.query("SELECT pg_terminate_backend(%s)", holder[0][0])
    wait_for(lambda: gateway.query(HOLDER) not in ([], holder), 20, gateway.output)
    assert gateway.pid_of("maintain") == maintainer
