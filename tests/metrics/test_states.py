"""Gauges of states that come and go: sessions that clients hold, circuits of upstreams."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from analytics.metrics import session_table
from analytics.metrics.session_table import ACTIVE_S, SLOTS, SessionTable, active
from tests.gateway import Gateway, wait_for
from tests.health.server import Server
from tests.metrics.conftest import KEYS, post, scrape, tool
from tests.upstreams.listening import started

SESSIONS, CIRCUIT = "mcp_gateway_active_agent_sessions", "mcp_gateway_circuit_breaker_state"
VERSION = "2025-11-25"


@pytest.fixture
def server() -> Iterator[Server]:
    """An upstream that keeps sessions and can be killed."""
    server = Server("tests.upstreams.echo_fast", "--sessions")
    yield server
    server.stop()


def published(url: str) -> dict[str, object]:
    """Return a configuration whose upstream's circuit opens at the second failure, for a second."""
    kept = {"url": url, "era": "legacy", "circuit_breaker_threshold": 2, "circuit_breaker_timeout": 1, "max_retries": 0}
    return {
        "upstreams": {"kept": kept},
        "namespaces": {"open": {"upstream": "kept"}},
        "keys": [
            {"key": KEYS["alice"], "user_id": "alice", "all_namespaces": True},
            {"key": KEYS["watcher"], "user_id": "watcher", "sees": "all"},
        ],
    }


class Client:
    """A client of the legacy era with a session; each request on a connection of its own, so any worker gets it."""

    def __init__(self, gateway: Gateway) -> None:
        self.url = gateway.url("open")
        self.headers = {"Authorization": f"Bearer {KEYS['alice']}", "Accept": "application/json, text/event-stream"}
        about = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        answer = self.send("initialize", about)
        self.headers |= {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": VERSION}

    def send(self, method: str, params: dict[str, object] | None = None) -> httpx.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method} | ({"params": params} if params else {})
        return httpx.post(self.url, json=body, headers=self.headers, timeout=30)

    def leave(self) -> None:
        assert httpx.delete(self.url, headers=self.headers, timeout=30).status_code == 200


def test_sessions_of_clients_are_counted_once_over_the_workers(
    make_gateway: Callable[..., Gateway], server: Server
) -> None:
    gateway = make_gateway(workers=2, config=published(server.url), env={"GATEWAY_PROBE_INTERVAL_S": "0"})
    assert scrape(gateway).sum(SESSIONS) == 0 and (SESSIONS, frozenset()) in scrape(gateway)
    assert {post(gateway, "open", tool("echo")) for _ in range(4)} == {200}
    assert scrape(gateway).sum(SESSIONS) == 0, "bare calls have no session of the client's"
    clients = [Client(gateway) for _ in range(6)]
    assert scrape(gateway).sum(SESSIONS) == 6
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: clients[number % 6].send("ping"), range(60)))
    assert scrape(gateway).sum(SESSIONS) == 6, "each is seen by both workers and counted once"
    for client in clients[:2]:
        client.leave()
    assert scrape(gateway).sum(SESSIONS) == 4
    server.restart()  # and has forgotten the others
    wait_for(lambda: clients[2].send("ping").status_code == 404, 10)
    assert clients[3].send("ping").status_code == 404
    assert scrape(gateway).sum(SESSIONS) == 2
    clients[2:] = [Client(gateway) for _ in range(3)]
    assert scrape(gateway).sum(SESSIONS) == 5


def test_the_last_word_of_any_worker_counts(tmp_path: Path) -> None:
    first, second = SessionTable(tmp_path, 0), SessionTable(tmp_path, 1)
    now = time.monotonic()
    digests = [f"{number:016x}" for number in range(1, 4)]
    for digest in digests:
        first.note(digest, now)
        second.note(digest, now - 10)
    second.end(digests[0], now + 1)
    assert active(session_table.read(tmp_path), now + 2) == 2
    first.note(digests[1], now + ACTIVE_S)
    assert active(session_table.read(tmp_path), now + ACTIVE_S + 1) == 1
    first.note(digests[0], now + ACTIVE_S + 2)  # a client that goes on with an id it had ended
    assert active(session_table.read(tmp_path), now + ACTIVE_S + 3) == 2
    first.close()
    assert active(session_table.read(tmp_path), now + ACTIVE_S + 3) == 2, "a killed worker's notes stay"
    assert active(session_table.read(tmp_path), now + 3 * ACTIVE_S) == 0
    SessionTable(tmp_path, 0).close()
    assert active(session_table.read(tmp_path), now + ACTIVE_S + 3) == 0, "until its successor begins anew"
    second.close()


def test_a_full_table_forgets_those_that_are_quiet() -> None:
    table = SessionTable()
    for number in range(1, SLOTS + 100):
        table.note(f"{number:016x}", 1000.0)
    assert active([table.read()], 1001.0) == SLOTS
    table.note("f" * 16, 1001.0)
    assert active([table.read()], 1001.0) == SLOTS, "nobody is quiet yet"
    table.note("f" * 16, 1001.0 + ACTIVE_S)
    assert active([table.read()], 1001.0 + ACTIVE_S) == 1


def test_the_state_of_a_circuit_is_told(make_gateway: Callable[..., Gateway], server: Server) -> None:
    gateway = make_gateway(workers=2, config=published(server.url), env={"GATEWAY_PROBE_INTERVAL_S": "0"})

    def state() -> float:
        samples = scrape(gateway)
        assert len([name for name, _ in samples if name == CIRCUIT]) == 1
        return samples.sum(CIRCUIT, upstream="kept")

    assert post(gateway, "open", tool("echo")) == 200
    assert state() == 0
    server.stop()
    wait_for(lambda: post(gateway, "open", tool("echo")) == 503, 10)
    assert state() == 1
    server.start()
    wait_for(lambda: post(gateway, "open", tool("echo")) == 200, 10)
    assert state() == 2
    wait_for(lambda: post(gateway, "open", tool("echo")) == 200 and state() == 0, 10)


def test_a_standing_stream_holds_its_session(make_gateway: Callable[..., Gateway]) -> None:
    with started("tests.upstreams.echo_fast", "--sessions", "--standing", "--interval-ms", "60000") as url:
        gateway = make_gateway(config=published(url), env={"GATEWAY_PROBE_INTERVAL_S": "0"})
        client = Client(gateway)
        with httpx.stream("GET", client.url, headers=client.headers, timeout=30) as stream:
            assert stream.status_code == 200
            directory = gateway.data_dir / "run" / "metrics"
            at = time.monotonic()
            # Noted again each second, without a call: seen from later than now, it is still active.
            wait_for(lambda: active(session_table.read(directory), at + ACTIVE_S + 1) == 1, 10)
