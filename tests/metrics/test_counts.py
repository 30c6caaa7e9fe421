"""Every number of /metrics (C.4, D.4, B.7) against calls whose number and ends are known, over two workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.gateway import Gateway, wait_for
from tests.metrics.conftest import KEYS, Samples, configuration, knowing_its_tools, post, scrape, tool

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
# What is called, how often, and which HTTP status that has.
CALLS: tuple[tuple[int, int, str, dict[str, Any], str | None], ...] = (
    (40, 200, "open", tool("echo", text="x"), KEYS["alice"]),
    (7, 200, "open", tool("add", a=1, b=2), KEYS["alice"]),
    (3, 504, "open", tool("hang"), KEYS["alice"]),
    (5, 200, "open", LIST, KEYS["alice"]),
    (4, 200, "closed", tool("add", a=1, b=2), KEYS["alice"]),
    (6, 502, "dead", tool("echo"), KEYS["alice"]),
    (8, 429, "open", PING, KEYS["limited"]),
    (9, 401, "open", PING, None),
    (2, 404, "nowhere", PING, KEYS["alice"]),
)


def make_calls(gateway: Gateway) -> float:
    """Make all of them, each on a connection of its own; return how long they took together, in seconds."""
    spent = 0.0
    for number, status, namespace, body, key in CALLS:
        for _ in range(number):
            begun = time.monotonic()
            assert post(gateway, namespace, body, key) == status, (namespace, body)
            spent += time.monotonic() - begun
    return spent


def gained(before: Samples, after: Samples, name: str, **labels: str) -> float:
    """Return by how much a sum has grown."""
    return after.sum(name, **labels) - before.sum(name, **labels)


def check_gains(before: Samples, after: Samples, times: int = 1) -> None:
    """Compare every counter with the calls that were made `times` times."""

    def check(expected: int, name: str, **labels: str) -> None:
        assert gained(before, after, name, **labels) == expected * times, (name, labels)

    requests = "mcp_gateway_requests_total"
    check(84, requests)
    for status, expected in (("200", 56), ("504", 3), ("502", 6), ("429", 8), ("401", 9), ("404", 2)):
        check(expected, requests, status=status, method="POST")
    check(9, requests, auth_type="none", path="other", upstream="")
    check(2, requests, auth_type="api_key", path="other", status="404")
    check(40 + 7 + 3 + 5 + 8, requests, path="/mcp/open", upstream="light")
    check(3 + 4 + 6 + 8 + 9 + 2, "mcp_gateway_errors_total")

    durations = "mcp_gateway_request_duration_seconds"
    check(84, f"{durations}_count")
    check(84, f"{durations}_bucket", le="+Inf")

    check(40 + 7 + 3 + 4 + 6, "mcp_gateway_mcp_methods_total", method="tools/call")
    check(8, "mcp_gateway_mcp_methods_total", method="ping", upstream="light")
    check(5, "mcp_gateway_list_tools", proxy="light")

    for name, called, failed in (("echo", 40, 0), ("add", 11, 4), ("hang", 3, 3)):
        check(called, "mcp_gateway_tools_called", tool=name, proxy="light")
        check(failed, "mcp_gateway_tools_call_errors", tool=name, proxy="light")
        check(called - failed, "mcp_gateway_tools_call_success", tool=name, proxy="light")
    check(6, "mcp_gateway_tools_call_errors", tool="other", proxy="dead")

    check(3, "mcp_gateway_upstream_errors_total", upstream="light", error_type="first_byte_timeout")
    check(6, "mcp_gateway_upstream_errors_total", upstream="dead")
    check(8, "mcp_gateway_rate_limit_rejections_total", identity="api_key:limited", tier="rate_limited_key")
    check(9, "mcp_gateway_call_ends_total", outcome="unauthenticated", reason="credential_missing")

    check(67, "mcp_gateway_server_requests_total", server="light")
    check(6, "mcp_gateway_server_requests_total", server="dead")
    check(3 + 4 + 8, "mcp_gateway_server_errors_total", server="light")
    check(6, "mcp_gateway_server_errors_total", server="dead")
    check(84, "mcp_gateway_log_rows_written_total")
    check(0, "log_rows_dropped_total")


def test_known_calls_give_known_numbers(counted: Gateway) -> None:
    before = scrape(counted)
    spent_s = make_calls(counted)
    after = scrape(counted)
    check_gains(before, after)
    took_s = gained(before, after, "mcp_gateway_request_duration_seconds_sum")
    assert 3.0 <= took_s <= spent_s
    by_server_ms = gained(before, after, "mcp_gateway_server_duration_ms_sum")
    assert 3000 <= by_server_ms <= took_s * 1000
    hung = gained(before, after, "mcp_gateway_request_duration_seconds_bucket", le="0.5", path="/mcp/open")
    assert hung == gained(before, after, "mcp_gateway_request_duration_seconds_count", path="/mcp/open") - 3


def test_a_killed_worker_takes_no_count_with_it(make_gateway: Callable[..., Gateway], light: str) -> None:
    gateway = knowing_its_tools(make_gateway(workers=2, config=configuration(light)))
    before = scrape(gateway)
    make_calls(gateway)
    for victim in gateway.worker_pids():
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda victim=victim: victim not in gateway.worker_pids() and len(gateway.worker_pids()) == 2, 30)
        wait_for(lambda: _scrapes(gateway), 30)
        check_gains(before, scrape(gateway))
    wait_for(lambda: scrape(gateway).sum("mcp_gateway_workers") == 2, 30)
    knowing_its_tools(gateway)
    between = scrape(gateway)
    for (name, labels), value in before.items():
        if name.endswith(("_total", "_count", "_bucket", "_sum")) or "tools_call" in name:
            assert between[name, labels] >= value, (name, labels)
    make_calls(gateway)
    check_gains(between, scrape(gateway))


def _scrapes(gateway: Gateway) -> bool:
    try:
        return bool(scrape(gateway))
    except (httpx.HTTPError, AssertionError):
        return False


def test_rows_that_found_no_room_are_counted(make_gateway: Callable[..., Gateway], light: str) -> None:
    # The shipper is stopped, so the journal fills up.
    gateway = make_gateway(workers=2, config=configuration(light), env={"GATEWAY_JOURNAL_MAX_BYTES": "65536"})
    shipper = gateway.pid_of("shipper")
    assert shipper is not None
    os.kill(shipper, signal.SIGSTOP)
    try:
        before, sent = scrape(gateway), 0
        while gained(before, scrape(gateway), "log_rows_dropped_total") < 20:
            for _ in range(50):
                assert post(gateway, "open", PING) == 200
            sent += 50
            assert sent < 3000
        after = scrape(gateway)
        lost = gained(before, after, "log_rows_dropped_total", reason="full")
        assert lost + gained(before, after, "mcp_gateway_log_rows_written_total") == sent
        assert after.sum("mcp_gateway_journal_waiting_bytes") > 30_000
        assert after.sum("mcp_gateway_shipper_lag_seconds") > 0
    finally:
        os.kill(shipper, signal.SIGCONT)
    wait_for(lambda: scrape(gateway).sum("mcp_gateway_journal_waiting_bytes") == 0, 30)
    assert scrape(gateway).sum("mcp_gateway_shipper_lag_seconds") == 0


def test_gauges_show_what_is_going_on(counted: Gateway) -> None:
    found = wait_for(lambda: (samples := scrape(counted)).sum("mcp_gateway_workers") == 2 and samples, 20)
    pids = counted.worker_pids()
    for process, pid in enumerate(pids):
        resident = found.sum("mcp_gateway_process_resident_memory_bytes", process=str(process))
        with open(f"/proc/{pid}/status") as status:
            actual = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
        assert abs(resident - actual) < 0.2 * actual
        fds = found.sum("mcp_gateway_process_open_fds", process=str(process))
        assert abs(fds - len(os.listdir(f"/proc/{pid}/fd"))) <= 8
        assert found.sum("mcp_gateway_process_cpu_seconds_total", process=str(process)) > 0.1
        assert 0 <= found.sum("mcp_gateway_event_loop_lag_seconds", process=str(process)) < 5
    assert found.sum("mcp_gateway_database_up") == 1
    assert 0 <= found.sum("mcp_gateway_configuration_age_seconds") < 60
    assert ("mcp_gateway_info", frozenset()) not in found
    wait_for(lambda: 0 <= scrape(counted).sum("mcp_gateway_rollup_lag_seconds") < 10, 30)


def test_open_calls_are_a_gauge(counted: Gateway) -> None:
    with (
        httpx.Client(timeout=30) as client,
        client.stream(
            "POST",
            counted.url("open"),
            json=tool("stream", count=40, interval_ms=100),
            headers={"Authorization": f"Bearer {KEYS['alice']}", "Accept": "application/json, text/event-stream"},
        ),
    ):
        wait_for(lambda: scrape(counted).sum("mcp_gateway_active_connections") == 1, 10)
        assert scrape(counted).sum("mcp_gateway_open_streams") == 1
    wait_for(lambda: scrape(counted).sum("mcp_gateway_active_connections") == 0, 10)


def test_the_last_hours_figures_are_those_of_the_rest_api(counted: Gateway) -> None:
    def both() -> tuple[dict[str, Any], Samples]:
        answer = counted.get("/api/v1/metrics", headers={"Authorization": f"Bearer {KEYS['watcher']}"})
        return answer.json(), scrape(counted)

    def same() -> bool:
        said, samples = both()
        names = {"successRate": "success_rate", "avgLatencyMs": "latency_avg_ms", "p95LatencyMs": "latency_p95_ms"}
        names["p99LatencyMs"] = "latency_p99_ms"
        return all(abs(said[b6] - samples.sum(f"mcp_gateway_{b7}")) < 0.01 * said[b6] for b6, b7 in names.items())

    wait_for(same, 30)
