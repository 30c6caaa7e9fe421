"""A long export from a real worker: sent while it is read, with little memory, and with no connection held for it."""

from __future__ import annotations

import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.analytics.rest.conftest import EXPORT_TIMEOUT_MS
from tests.gateway import Gateway, wait_for

ROWS = 60_000
PATH = "/api/v1/requests?format=csv&period=1d"


@pytest.fixture(scope="module")
def exporting(gateway_for_exports: Gateway) -> Iterator[tuple[Gateway, dict[str, str]]]:
    """Yield a gateway whose log holds ROWS calls of alice's of the last hour, and headers with a key of hers."""
    gateway = gateway_for_exports
    key = gateway.create_key("--user", "alice")
    day = f"{datetime.now(UTC):%Y%m%d}"
    gateway.query(
        f"""
        CREATE TABLE IF NOT EXISTS analytics_requestlog_{day} PARTITION OF analytics_requestlog
        FOR VALUES FROM ('{day} 00:00+00') TO ('{day} 24:00+00')
        """
    )
    gateway.query(
        f"""
        INSERT INTO analytics_requestlog (id, at, namespace, upstream, user_id, method, tool, outcome, http_status,
                                          total_us, request_bytes, response_bytes)
        SELECT gen_random_uuid(), greatest(date_trunc('day', now()), now() - interval '1 hour')
               + (now() - greatest(date_trunc('day', now()), now() - interval '1 hour')) * n / {ROWS + 1},
               'demo', 'demo', 'alice', 'tools/call', 'tool ' || n, 'ok', 200, 1000, 100, 1000
        FROM generate_series(1, {ROWS}) AS n
        """
    )
    headers = {"Authorization": f"Bearer {key}"}
    for path in ("/analytics/usage", f"{PATH}&limit=1000"):  # what a worker loads once is no exporter's memory
        gateway.get(path, headers=headers).raise_for_status()
    yield gateway, headers


def memory_kib(gateway: Gateway) -> int:
    """Return what the worker has in memory at this moment."""
    (pid,) = gateway.worker_pids()
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


def test_rows_arrive_while_later_ones_are_read(exporting: tuple[Gateway, dict[str, str]]) -> None:
    gateway, headers = exporting
    before = peak = memory_kib(gateway)
    started = time.monotonic()
    lines, pieces = b"", 0
    with httpx.stream("GET", gateway.base + PATH, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200 and answer.headers["transfer-encoding"] == "chunked"
        for piece in answer.iter_raw():
            first_after = time.monotonic() - started if not pieces else first_after  # noqa: F821
            pieces += 1
            lines += piece
            peak = max(peak, memory_kib(gateway))
    whole = time.monotonic() - started
    rows = lines.decode().splitlines()
    print(
        f"{ROWS} rows, {len(lines) >> 20} MiB in {whole:.2f} s; first after {first_after * 1000:.0f} ms;"
        f" memory + {peak - before} KiB"
    )
    assert len(rows) == ROWS + 1 and len({row.split(",")[0] for row in rows[1:]}) == ROWS
    assert first_after < whole / 5 and pieces > 20
    assert peak - before < 16 * 1024


@pytest.mark.alone
def test_the_event_loop_goes_on_meanwhile(exporting: tuple[Gateway, dict[str, str]]) -> None:
    gateway, headers = exporting
    waits: list[float] = []
    done = threading.Event()

    def watch() -> None:
        with httpx.Client() as client:
            while not done.is_set():
                started = time.monotonic()
                client.get(gateway.base + "/live").raise_for_status()
                waits.append(time.monotonic() - started)
                time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert httpx.get(gateway.base + PATH, headers=headers, timeout=60).text.count("\n") == ROWS + 1
    finally:
        done.set()
        watcher.join()
    median, longest = statistics.median(waits) * 1000, max(waits) * 1000
    print(f"/live beside an export: median {median:.1f} ms, longest {longest:.0f} ms")
    # A loop that waits for the export waits for all of it, which takes seconds; a busy machine costs tenths.
    assert len(waits) > 50 and median < 100 and longest < 1500


def stalled(gateway: Gateway, headers: dict[str, str]) -> socket.socket:
    """Ask for an export and read no more than the beginning of it."""
    reader = socket.create_connection(("127.0.0.1", gateway.port))
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {headers['Authorization']}\r\n\r\n"
    reader.sendall(head.encode())
    assert reader.recv(100).startswith(b"HTTP/1.1 200")
    return reader


@pytest.mark.alone
def test_readers_that_stop_reading_hold_no_connection_and_keep_nobody_waiting(
    exporting: tuple[Gateway, dict[str, str]],
) -> None:
    gateway, headers = exporting
    before = memory_kib(gateway)
    readers = [stalled(gateway, headers) for _ in range(8)]
    try:
        # Each has filled what the kernel and the server hold for it, and waits.
        wait_for(lambda: _is_quiet(gateway), 90)
        started = time.monotonic()
        answer = gateway.get("/analytics/usage", headers=headers)
        assert answer.status_code == 200 and time.monotonic() - started < 2
        grown = memory_kib(gateway) - before
        print(f"8 readers that stopped: memory + {grown} KiB")
        assert grown < 24 * 1024
    finally:
        for reader in readers:
            reader.close()
    # They have gone: what they had under way ends.
    wait_for(lambda: _is_quiet(gateway), 10)
    assert gateway.get("/analytics/usage", headers=headers).status_code == 200


def _is_quiet(gateway: Gateway) -> bool:
    """Return whether the database is neither at work nor held by anybody, half a second long."""
    active = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND (state LIKE 'idle in%%' OR query LIKE '%%analytics_requestlog%%' AND state = 'active')"
    ).replace("%%", "%")
    for _ in range(10):
        if gateway.query(active):
            return False
        time.sleep(0.05)
    return True


@pytest.mark.alone
def test_a_reader_that_leaves_ends_the_reading(exporting: tuple[Gateway, dict[str, str]]) -> None:
    gateway, headers = exporting
    for _ in range(5):
        with httpx.stream("GET", gateway.base + PATH, headers=headers, timeout=60) as answer:
            next(answer.iter_raw())
        left = time.monotonic()
        wait_for(lambda: _is_quiet(gateway), 5)
        assert time.monotonic() - left < 3


def test_an_export_that_the_database_breaks_off_does_not_end_like_a_whole_one(
    exporting: tuple[Gateway, dict[str, str]],
) -> None:
    gateway, headers = exporting
    received = b""
    with (
        psycopg.connect(gateway.sql_url) as blocker,
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("GET", gateway.base + PATH, headers=headers, timeout=60) as answer,
    ):
        for piece in answer.iter_raw():
            if not received:
                blocker.execute("LOCK TABLE analytics_requestlog IN ACCESS EXCLUSIVE MODE")
            received += piece
    assert received.count(b"\n") < ROWS
    assert b"# incomplete: the database did not answer in time" in received.splitlines()[-1]


def test_what_cannot_begin_is_a_503(exporting: tuple[Gateway, dict[str, str]]) -> None:
    gateway, headers = exporting
    with psycopg.connect(gateway.sql_url) as blocker:
        blocker.execute("LOCK TABLE analytics_requestlog IN ACCESS EXCLUSIVE MODE")
        for path in (PATH, "/analytics/usage", "/api/v1/requests"):
            started = time.monotonic()
            answer = httpx.get(gateway.base + path, headers=headers, timeout=30)
            assert answer.status_code == 503 and answer.json()["error"]["reason"] == "unavailable"
            assert time.monotonic() - started < EXPORT_TIMEOUT_MS / 1000 + 2


def test_any_users_id_gets_through_the_server(exporting: tuple[Gateway, dict[str, str]]) -> None:
    from urllib.parse import quote

    gateway, _ = exporting
    for user in ("a/b", "ä b?c#d", "100%", "日本"):
        key = gateway.create_key("--user", user)
        answer = gateway.get(f"/analytics/usage/{quote(user, safe='')}", headers={"X-API-Key": key})
        assert answer.status_code == 200 and answer.json()["user_id"] == user


def test_a_broken_path_is_an_error_in_json(exporting: tuple[Gateway, dict[str, str]]) -> None:
    gateway, headers = exporting
    for path in ("/analytics/usage/%ff", "/analytics/usage/%00", "/api/v1/requests/%2e%2e", "/analytics/%0a"):
        answer: Any = gateway.get(path, headers=headers)
        assert answer.status_code in (400, 404), path
        assert answer.status_code == 400 or answer.json()["error"]["reason"] == "not_found"
