"""The circuit breaker: its states, workers on one table, and what clients see of an upstream that comes and goes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from namespaces import circuits
from namespaces.circuits import CircuitTable
from proxy.breaker import Breaker, Breaking
from proxy.errors import Unavailable
from proxy.retries import BUDGET_LEAST, RetryBudget
from tests.gateway import Gateway, free_port, wait_for
from tests.proxy.plane import BOTH, KEYS, LEGACY, Caller, message, tool_call
from tests.proxy.wire import Answer, Connection, request
from tests.upstreams.listening import ROOT

BREAKING = Breaking(threshold=3, recovery_s=10.0, probes=2)
HEADERS = {"MCP-Protocol-Version": LEGACY}


def breaker(table: CircuitTable | None = None, breaking: Breaking = BREAKING) -> Breaker:
    return Breaker(table or CircuitTable(None), 5, breaking)


def opened(circuit: Breaker, now: float = 100.0) -> Breaker:
    for _ in range(BREAKING.threshold):
        circuit.failed(circuit.enter(now), now)
    return circuit


def refused(circuit: Breaker, now: float) -> Unavailable:
    with pytest.raises(Unavailable) as refusal:
        circuit.enter(now)
    return refusal.value


def test_so_many_failures_in_a_row_open_it_and_one_success_forgets_them() -> None:
    circuit = breaker()
    for _ in range(5):
        circuit.failed(circuit.enter(1.0), 1.0)
        circuit.failed(circuit.enter(1.0), 1.0)
        circuit.succeeded(circuit.enter(1.0))
    assert circuit.enter(1.0) == 0
    error = refused(opened(circuit), 104.0)
    assert (error.status, error.reason, error.data) == (503, "circuit_open", {"retryAfterMs": 6001})
    assert error.headers == ((b"retry-after", b"6"),)
    assert circuit.refuses_s(104.0) == 6.0


def test_after_its_time_exactly_so_many_probes_pass_and_their_success_closes_it() -> None:
    circuit = opened(breaker())
    first, second = circuit.enter(110.0), circuit.enter(110.0)
    assert first == second > 0
    assert refused(circuit, 110.5).headers == ((b"retry-after", b"1"),)
    circuit.succeeded(first)
    refused(circuit, 110.6)
    circuit.succeeded(second)
    assert circuit.enter(110.7) == 0


def test_a_probe_that_fails_opens_it_for_its_whole_time_again() -> None:
    circuit = opened(breaker())
    first, second = circuit.enter(110.0), circuit.enter(110.0)
    circuit.failed(first, 111.0)
    assert refused(circuit, 120.5).data == {"retryAfterMs": 501}
    circuit.succeeded(second)  # of a phase that is over
    refused(circuit, 120.9)
    assert circuit.enter(121.0) > first


def test_a_probe_that_told_nothing_is_given_to_another() -> None:
    circuit = opened(breaker())
    first, second = circuit.enter(110.0), circuit.enter(110.0)
    circuit.withdrawn(first)
    third = circuit.enter(110.1)
    refused(circuit, 110.2)
    circuit.succeeded(second)
    circuit.succeeded(third)
    assert circuit.enter(110.3) == 0


def test_calls_from_before_it_opened_change_nothing() -> None:
    circuit = breaker()
    early = [circuit.enter(99.0) for _ in range(4)]
    opened(circuit)
    circuit.succeeded(early[0])
    circuit.failed(early[1], 105.0)
    assert refused(circuit, 109.0).data == {"retryAfterMs": 1001}
    assert circuit.enter(110.0) > 0


def test_probes_that_died_with_their_worker_are_not_waited_for_for_ever() -> None:
    circuit = opened(breaker())
    lost = circuit.enter(110.0), circuit.enter(110.0)
    refused(circuit, 119.0)
    assert circuit.enter(121.0) > lost[0]


def test_a_passing_check_lets_probes_pass_at_once_and_counts_once(tmp_path: Path) -> None:
    tables = [CircuitTable(tmp_path / circuits.FILE) for _ in range(2)]
    first, second = (breaker(table) for table in tables)
    first.heed(6)  # closed: nothing to do
    opened(first)
    refused(second, 101.0)
    first.heed(7)
    probe = second.enter(101.0)
    second.failed(probe, 101.5)
    second.heed(7)  # the same check, heard by another worker a moment later
    refused(second, 101.6)
    second.heed(8)
    assert first.enter(101.7) > probe


def test_workers_share_the_state_and_pages_can_read_it(tmp_path: Path) -> None:
    tables = [CircuitTable(tmp_path / circuits.FILE) for _ in range(2)]
    first, second = (breaker(table) for table in tables)
    now = time.monotonic()
    assert circuits.seen([5, 9999], tmp_path)[5].state == "closed"
    first.failed(0, now)
    assert circuits.seen([5], tmp_path)[5].failures == 1
    for _ in range(2):
        second.failed(0, now)
    refused(first, now + 1)
    seen = circuits.seen([5, 6], tmp_path)
    assert seen[5].state == "open" and 8 < seen[5].retry_s <= 10 and seen[6].state == "closed"
    first.enter(now + 11)
    assert circuits.seen([5], tmp_path)[5].state == "half_open"
    assert circuits.seen([5], tmp_path / "nowhere")[5].state == "closed"


def test_a_time_from_before_the_machine_started_anew_is_forgotten() -> None:
    circuit = opened(breaker(), now=1e9)
    assert circuit.refuses_s(50.0) == 0 and circuit.enter(50.0) == 0


PROBING = """
import sys, time
from pathlib import Path
from namespaces.circuits import CircuitTable
from proxy.breaker import Breaker, Breaking
from proxy.errors import Unavailable

circuit = Breaker(CircuitTable(Path(sys.argv[1])), 5, Breaking(3, 60.0, 3))
until, passed = time.monotonic() + 2.0, 0
while time.monotonic() < until:
    try:
        circuit.enter(time.monotonic())
        passed += 1
    except Unavailable:
        pass
print(passed)
"""


def test_four_processes_that_probe_at_once_send_exactly_so_many(tmp_path: Path) -> None:
    path = tmp_path / circuits.FILE
    circuit = breaker(CircuitTable(path))
    opened(circuit, time.monotonic())
    command = [sys.executable, "-c", PROBING, str(path)]
    probing = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    time.sleep(1.0)
    circuit.heed(1)
    assert sum(int(process.communicate(timeout=60)[0]) for process in probing) == 3


# What clients see


@pytest.fixture(scope="module")
def switched(start_gateway: Callable[..., Gateway], plane_upstreams: dict[str, str]) -> Gateway:
    """Two workers before upstreams that misbehave on demand; checks only when a test asks for one."""
    base = plane_upstreams["hostile"]
    limits = {"timeouts": {"connect": "1s", "first_byte": "300ms", "total": "3s"}, "era": "legacy"}
    upstreams: dict[str, Any] = {
        "switched": {"url": f"{base}/switched", "circuit_breaker_timeout": "1s"} | limits,
        "patient": {"url": f"{base}/switched", "circuit_breaker_timeout": "1h"} | limits,
        "status-404": {"url": f"{base}/status-404"} | limits,
        "never": {"url": f"{base}/status-500", "circuit_breaker_threshold": 0} | limits,
        "dead": {"url": "http://127.0.0.1:10/mcp", "circuit_breaker_timeout": "1h"} | limits,
        "gone": {"url": f"http://127.0.0.1:{free_port()}/mcp", "circuit_breaker_threshold": 0} | limits,
        "trusted": {"url": f"{base}/switched", "trust_annotations": True, "circuit_breaker_threshold": 0} | limits,
        "doubted": {"url": f"{base}/switched", "circuit_breaker_threshold": 0} | limits,
    }
    config = {
        "upstreams": upstreams,
        "namespaces": {name: {"upstream": name} for name in upstreams},
        "keys": [{"key": KEYS["alice"], "user_id": "alice", "all_namespaces": True}],
    }
    env = {"GATEWAY_PROBE_INTERVAL_S": "0"}
    return start_gateway(config=config, workers=2, env=env)


@pytest.fixture
def client(switched: Gateway, plane_upstreams: dict[str, str]) -> Caller:
    return Caller(switched, plane_upstreams)


def switch(client: Caller, behaviour: str, times: int | None = None) -> None:
    query = "" if times is None else f"?times={times}"
    urllib.request.urlopen(f"{client.upstreams['hostile']}/_switch/{behaviour}{query}").close()


def call(client: Caller, namespace: str, name: str = "echo") -> Answer:
    return client.post(namespace, tool_call(name), HEADERS)


def until_open(client: Caller, namespace: str) -> list[Answer]:
    """Call until the circuit opens; return the answers before."""
    answers: list[Answer] = []
    while (answer := call(client, namespace)).reason != "circuit_open":
        answers.append(answer)
        assert len(answers) < 20
    return answers


@pytest.mark.parametrize("behaviour", ["status-500", "reset", "hang", "close", "status-503"])
def test_it_opens_and_closes_again_after_its_time(client: Caller, behaviour: str) -> None:
    switch(client, behaviour)
    assert len(until_open(client, "switched")) == 5
    switch(client, "ok")
    answer = call(client, "switched")
    assert (answer.status, answer.reason) == (503, "circuit_open")
    assert answer.header("retry-after") == "1" and 0 < answer.json["error"]["data"]["retryAfterMs"] <= 1001
    assert float(answer.header("x-response-time-ms") or "99") <= 10
    time.sleep(1.0)
    assert [call(client, "switched").status for _ in range(8)] == [200] * 8


def test_an_upstream_that_nobody_can_connect_to_opens_it(client: Caller) -> None:
    assert [answer.reason for answer in until_open(client, "dead")] == ["upstream_unreachable"] * 5


def test_refusals_of_the_upstream_and_errors_in_its_answers_do_not(client: Caller) -> None:
    assert {call(client, "status-404").status for _ in range(12)} == {404}
    switch(client, "ok")
    assert {call(client, "switched").status for _ in range(12)} == {200}


def test_clients_that_leave_do_not(client: Caller) -> None:
    switch(client, "hang")
    body = json.dumps(tool_call()).encode()
    sent = HEADERS | {"Authorization": f"Bearer {KEYS['alice']}", "Content-Type": "application/json", "Accept": BOTH}
    for _ in range(12):
        with Connection(client.port) as connection:
            connection.send(request("/mcp/patient", body, list(sent.items())))
            time.sleep(0.1)
    switch(client, "ok")
    assert call(client, "patient").status == 200


def test_it_can_be_switched_off(client: Caller) -> None:
    assert {call(client, "never").status for _ in range(12)} == {502}


def test_a_passing_check_closes_it_long_before_its_time(client: Caller, switched: Gateway) -> None:
    switch(client, "reset")
    until_open(client, "patient")
    assert call(client, "patient").header("retry-after") == "3600"
    switched.manage("maintain", "--once", GATEWAY_PROBE_INTERVAL_S="120")  # the check fails too: nothing changes
    assert call(client, "patient").reason == "circuit_open"
    switch(client, "ok")
    switched.manage("maintain", "--once", GATEWAY_PROBE_INTERVAL_S="120")
    wait_for(lambda: call(client, "patient").status == 200, 5)
    assert [call(client, "patient").status for _ in range(8)] == [200] * 8


# Retries


def test_a_refused_connection_is_tried_once_more_and_said(client: Caller) -> None:
    answer = call(client, "gone")
    assert (answer.reason, answer.json["error"]["data"]["attempts"]) == ("upstream_unreachable", 2)


def test_a_call_that_broke_off_is_repeated_only_where_the_tool_says_so_and_is_believed(
    client: Caller, switched: Gateway
) -> None:
    switch(client, "ok")
    for upstream in ("trusted", "doubted"):
        assert client.post(upstream, message("tools/list"), HEADERS).status == 200
    wait_for(lambda: switched.query("SELECT count(*) FROM namespaces_catalogueentry WHERE name = 'puts'")[0][0] >= 2, 5)
    time.sleep(0.5)  # until both workers have read it
    statuses = {}
    for upstream in ("trusted", "doubted"):
        for name in ("reads", "puts", "writes", "unlisted"):
            switch(client, "close", 1)
            statuses[upstream, name] = call(client, upstream, name).status
            time.sleep(0.1)
    repeated = {pair for pair, status in statuses.items() if status == 200}
    assert repeated == {("trusted", "reads"), ("trusted", "puts")}
    switch(client, "status-503", 1)
    again = call(client, "trusted", "reads")
    assert again.status == 200
    rows = wait_for(
        lambda: switched.query(
            "SELECT reason FROM analytics_requestlog WHERE request_id = %s", again.header("x-request-id")
        ),
        10,
    )
    assert rows == [("retried",)]


def test_retries_have_a_budget() -> None:
    budget = RetryBudget()
    assert [budget.spend(1.0) for _ in range(BUDGET_LEAST + 1)] == [True] * BUDGET_LEAST + [False]
    budget.calls = 100
    assert sum(budget.spend(2.0) for _ in range(50)) == 10
    assert budget.spend(12.5), "what was spent ten seconds ago is forgotten"
    for _ in range(10):
        budget.tick()
    assert sum(budget.spend(30.0) for _ in range(50)) == BUDGET_LEAST, "so are the calls of then"


def test_a_ping_passes_like_any_call(client: Caller) -> None:
    switch(client, "ok")
    assert client.post("switched", message("ping"), HEADERS).status == 200
