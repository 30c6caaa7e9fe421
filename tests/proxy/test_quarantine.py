"""Quarantine and the identical-call breaker: what is stopped, what is not, how soon, and what the client reads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.repeats import RepeatLimit, Repeats
from tests.gateway import Gateway, wait_for
from tests.proxy.plane import KEYS, LEGACY, Caller, message, tool_call
from tests.proxy.wire import Answer
from tests.upstreams.listening import ROOT

HEADERS = {"MCP-Protocol-Version": LEGACY}
SUBJECTS = {
    "key": "key_id = (SELECT id FROM keys_apikey WHERE user_id = %s)",
    "user": "user_id = %s",
    "tool": "tool = %s",
    "namespace": "namespace_id = (SELECT id FROM namespaces_namespace WHERE slug = %s)",
    "upstream": "upstream_id = (SELECT id FROM namespaces_upstream WHERE slug = %s)",
}


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., Gateway], plane_upstreams: dict[str, str]) -> Gateway:
    """Four workers before two upstreams; `strict` lets two identical calls pass within two seconds."""
    url = plane_upstreams["echo"]
    config: dict[str, Any] = {
        "upstreams": {"one": {"url": url}, "two": {"url": url}},
        "namespaces": {
            "one": {"upstream": "one"},
            "also-one": {"upstream": "one"},
            "two": {"upstream": "two"},
            "strict": {"upstream": "two", "identical_calls": 2, "identical_window": "2s"},
        },
        "keys": [{"key": KEYS[name], "user_id": name, "all_namespaces": True} for name in ("alice", "bob")],
    }
    return start_gateway(config=config, workers=4, env={"GATEWAY_PROBE_INTERVAL_S": "0"})


@pytest.fixture
def client(gateway: Gateway, plane_upstreams: dict[str, str]) -> Iterator[Caller]:
    yield Caller(gateway, plane_upstreams)
    gateway.query("DELETE FROM keys_quarantine RETURNING id")
    time.sleep(0.3)


def stop(gateway: Gateway, scope: str, subject: str, reason: str, ends: str = "NULL", **more: str) -> None:
    """Quarantine something in the database itself, as any path may."""
    columns = {"key_id": "NULL", "user_id": "''", "tool": "''", "namespace_id": "NULL", "upstream_id": "NULL"}
    values: list[str] = []
    for kind, name in {scope: subject, **more}.items():
        column, _, expression = SUBJECTS[kind].partition(" = ")
        columns[column] = expression
        values.append(name)
    ordered = sorted(columns, key=lambda column: list(columns).index(column))
    used = [
        name
        for column in ordered
        for kind, name in {scope: subject, **more}.items()
        if SUBJECTS[kind].startswith(column)
    ]
    gateway.query(
        f"INSERT INTO keys_quarantine (scope, {', '.join(ordered)}, reason, ends_at, set_by, created_at)"
        f" VALUES (%s, {', '.join(columns[column] for column in ordered)}, %s, {ends}, 'test', now()) RETURNING id",
        *(scope, *used, reason),
    )


def call(client: Caller, namespace: str = "one", tool: str = "echo", key: str = "alice", **arguments: Any) -> Answer:
    return client.post(namespace, tool_call(tool, arguments or None), HEADERS, key=key)


def outcomes(client: Caller) -> dict[tuple[str, str, str], str]:
    """Return the reason of a call for each key, namespace and tool; empty where it passes."""
    return {
        (key, namespace, tool): call(client, namespace, tool, key).reason or ""
        for key in ("alice", "bob")
        for namespace in ("one", "also-one", "two")
        for tool in ("echo", "add")
    }


@pytest.mark.parametrize(
    ("scope", "subject", "more", "stopped", "status"),
    [
        ("key", "alice", {}, lambda key, namespace, tool: key == "alice", 403),
        ("user", "alice", {}, lambda key, namespace, tool: key == "alice", 403),
        ("namespace", "one", {}, lambda key, namespace, tool: namespace == "one", 503),
        ("upstream", "one", {}, lambda key, namespace, tool: namespace != "two", 503),
        ("tool", "add", {}, lambda key, namespace, tool: tool == "add", 200),
        ("tool", "add", {"namespace": "one"}, lambda key, namespace, tool: (namespace, tool) == ("one", "add"), 200),
        ("tool", "add", {"upstream": "one"}, lambda key, namespace, tool: namespace != "two" and tool == "add", 200),
    ],
)
def test_it_stops_what_it_names_and_nothing_else(
    client: Caller, gateway: Gateway, scope: str, subject: str, more: dict[str, str], stopped: Any, status: int
) -> None:
    assert set(outcomes(client).values()) == {""}
    stop(gateway, scope, subject, "It deletes what it should read", **more)
    code = f"{scope}_quarantined"
    expected = {place: code if stopped(*place) else "" for place in outcomes(client)}
    wait_for(lambda: outcomes(client) == expected, 4)
    place = next(place for place, reason in expected.items() if reason)
    answer = call(client, place[1], place[2], place[0])
    assert (answer.status, answer.code) == (status, -32600)
    assert "is quarantined: It deletes what it should read" in answer.message["error"]["message"]


def test_it_is_in_force_in_every_worker_within_two_seconds_and_lifted_as_soon(client: Caller, gateway: Gateway) -> None:
    stop(gateway, "namespace", "one", "Too slow")
    begun = time.monotonic()
    wait_for(lambda: all(call(client).status == 503 for _ in range(40)), 4)
    assert time.monotonic() - begun < 2 + 1
    gateway.query("DELETE FROM keys_quarantine RETURNING id")
    time.sleep(1)
    assert {call(client).status for _ in range(40)} == {200}


def test_it_ends_by_itself_and_says_when(client: Caller, gateway: Gateway) -> None:
    stop(gateway, "key", "alice", "Over soon", "now() + interval '2 s'")
    answer = wait_for(lambda: (found := call(client)).status == 403 and found, 3)
    assert answer.header("retry-after") in ("1", "2") and " UTC)" in answer.json["error"]["message"]
    assert 0 < answer.json["error"]["data"]["retryAfterMs"] <= 2001
    wait_for(lambda: all(call(client).status == 200 for _ in range(10)), 4)


def test_a_quarantined_tool_stays_in_lists_and_other_methods_pass(client: Caller, gateway: Gateway) -> None:
    stop(gateway, "tool", "add", "Wrong sums")
    wait_for(lambda: call(client, tool="add").reason == "tool_quarantined", 3)
    listed = client.post("one", message("tools/list"), HEADERS).message["result"]["tools"]
    assert "add" in [tool["name"] for tool in listed]
    assert client.post("one", tool_call("add")).reason == "tool_quarantined", "a bare call too"


@pytest.mark.parametrize(("scope", "subject"), [("key", "alice"), ("upstream", "one"), ("tool", "stream")])
def test_open_streams_of_what_is_stopped_end_within_five_seconds(
    client: Caller, gateway: Gateway, scope: str, subject: str
) -> None:
    content = tool_call("stream", {"count": 200, "interval_ms": 100})
    stopped = client.open_stream("one", content, HEADERS)
    other = client.open_stream("two", tool_call("stream", {"count": 40, "interval_ms": 100}), HEADERS, key="bob")
    with stopped, other:
        stopped.read_event()
        stop(gateway, scope, subject, "Enough")
        begun = time.monotonic()
        while "error" not in (said := stopped.read_event()[1]):
            assert time.monotonic() - begun < 5
        assert f"{scope}_quarantined" in said and "Enough" in said
        if scope != "tool":
            while "result" not in (said := other.read_event()[1]):
                assert "error" not in said


def test_a_quarantined_key_reads_no_figures_either(client: Caller, gateway: Gateway) -> None:
    path, headers = "/analytics/usage?period=7d", {"Accept": "application/json"}
    assert client.send(path, method="GET", headers=headers).status == 200
    stop(gateway, "user", "alice", "Gone")
    assert client.send(path, method="GET", headers=headers).status == 401
    assert client.send(path, method="GET", headers=headers, key="bob").status == 200


# Identical calls

digests = st.binary(min_size=16, max_size=16)


@given(st.integers(1, 20), st.floats(1, 100), st.lists(st.floats(0, 30), min_size=1, max_size=60), digests)
def test_no_more_than_so_many_pass_in_a_window(most: int, window_s: float, pauses: list[float], digest: bytes) -> None:
    repeats, limit, now = Repeats(None, ["pepper"]), RepeatLimit(most, window_s), 1000.0
    began, count = -1e9, 0
    for pause in pauses:
        now += pause
        if now - began >= window_s:
            began, count = now, 0
        wait_s = repeats.admit(digest, limit, now)
        count += 1
        if count <= most:
            assert wait_s == 0
        else:
            assert abs(wait_s - (began + window_s - now)) < 1e-6


def test_many_different_calls_do_not_stop_each_other() -> None:
    repeats, limit = Repeats(None, ["pepper"]), RepeatLimit(1, 60)
    for number in range(100_000):
        assert repeats.admit(number.to_bytes(16, "little"), limit, 1000.0) == 0


def test_only_a_keyed_hash_is_kept(tmp_path: Path) -> None:
    repeats = Repeats(tmp_path / "repeats", ["pepper"])
    repeats.check(RepeatLimit(1, 60), 1, 1, "search", {"q": "a very private question"})
    content = (tmp_path / "repeats").read_bytes()
    assert b"private" not in content and b"search" not in content and any(content)
    other = Repeats(None, ["another pepper"])
    other.check(RepeatLimit(1, 60), 1, 1, "search", {"q": "a very private question"})
    rows = [bytes(part).strip(b"\0") for part in (content, other._table[:])]
    assert rows[0][:16] != rows[1][:16]


REPEATING = """
import sys, time
from pathlib import Path
from proxy.repeats import RepeatLimit, Repeats
repeats, limit = Repeats(Path(sys.argv[1]), ["pepper"]), RepeatLimit(50, 600.0)
print(sum(not repeats.admit(b"x" * 16, limit, time.monotonic()) for _ in range(5000)))
"""


def test_four_processes_let_exactly_so_many_pass(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REPEATING, str(tmp_path / "repeats")]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert sum(int(process.communicate(timeout=60)[0]) for process in running) == 50


def test_the_same_call_again_and_again_is_refused(client: Caller) -> None:
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(call(client, "strict", message="same", order=[1, 2])))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] * 2 + [429] * 10
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.reason, refused.code) == ("identical_calls", -31429)
    assert refused.header("retry-after") in ("1", "2")
    assert 0 < refused.json["error"]["data"]["retryAfterMs"] <= 2001
    # The order of members makes no other call; other arguments, tools, keys and namespaces do.
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":%s}}'
    assert client.post("strict", body % b'{"order":[1, 2],"message":"same"}', HEADERS).status == 429
    assert client.post("strict", body % b'{"order":[2, 1],"message":"same"}', HEADERS).status == 200
    assert call(client, "strict", "add", message="same", order=[1, 2]).status == 200
    assert call(client, "strict", key="bob", message="same", order=[1, 2]).status == 200
    assert call(client, "two", message="same", order=[1, 2]).status == 200
    time.sleep(2.1)
    assert call(client, "strict", message="same", order=[1, 2]).status == 200
