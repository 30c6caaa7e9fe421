"""Deadlines in both directions: servers that take nothing, clients that read nothing, and progress."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.gateway import Gateway, wait_for
from tests.proxy.plane import BOTH, KEYS, LEGACY, Caller, tool_call
from tests.proxy.wire import Connection, request
from tests.upstreams.listening import started

HEADERS = {"MCP-Protocol-Version": LEGACY}
BODY_S = 1.0
ANSWER_BYTES = 12 << 20  # more than the kernel takes off our hands


@contextlib.contextmanager
def deaf_server() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and reads nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    held: list[socket.socket] = []
    stop = threading.Event()

    def accept() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                held.append(listener.accept()[0])

    thread = threading.Thread(target=accept)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    stop.set()
    thread.join()
    for connection in (*held, listener):
        connection.close()


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., Gateway]) -> Iterator[Gateway]:
    """A gateway with short deadlines."""
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(deaf_server())
        echo = stack.enter_context(started("tests.upstreams.echo_fast", "--standing"))
        progress = stack.enter_context(started("tests.upstreams.progressing"))
        times = {"timeouts": {"connect": "1s", "first_byte": "1s", "idle": "1s", "total": "1500ms"}, "era": "legacy"}
        upstreams = {
            "deaf": {"url": deaf} | times,
            "echo": {"url": echo, "era": "legacy", "timeouts": {"idle": "1s"}},
            "progress": {"url": progress} | times,
        }
        config: dict[str, Any] = {
            "upstreams": upstreams,
            "namespaces": {name: {"upstream": name} for name in upstreams}
            | {"patient": {"upstream": "progress", "progress_extends_total": True}},
            "keys": [{"key": KEYS["alice"], "user_id": "alice", "all_namespaces": True}],
        }
        env = {
            "GATEWAY_PROBE_INTERVAL_S": "0",
            "GATEWAY_BODY_TIMEOUT_S": str(BODY_S),
            "GATEWAY_SEND_TIMEOUT_S": str(BODY_S),
            "GATEWAY_MAX_REQUEST_BYTES": str(2 * ANSWER_BYTES),
            "GATEWAY_KEEP_ALIVE_COMMENT_S": "0.5",
        }
        yield start_gateway(config=config, env=env)


@pytest.fixture
def client(gateway: Gateway) -> Caller:
    return Caller(gateway, {})


def reason_of(gateway: Gateway, method: str) -> str | None:
    statement = "SELECT reason FROM analytics_requestlog WHERE method = %s AND reason = 'client_stalled'"
    rows = gateway.query(statement, method)
    return rows[0][0] if rows else None


def test_a_server_that_takes_no_request_is_given_up_at_the_first_byte_deadline(client: Caller) -> None:
    begun = time.monotonic()
    answer = client.post("deaf", tool_call("echo", {"text": "x" * (3 << 20)}), HEADERS)
    assert (answer.status, answer.reason) == (504, "first_byte_timeout")
    assert 0.9 < time.monotonic() - begun < 2.5


def test_a_body_that_arrives_too_slowly_is_cut_in_time(client: Caller) -> None:
    head = [("Authorization", f"Bearer {KEYS['alice']}"), ("Content-Type", "application/json"), ("Accept", BOTH)]
    whole = request("/mcp/echo", b"x" * 1000, head)
    begun = time.monotonic()
    with Connection(client.port) as connection:
        connection.send(whole[:-900])
        for _ in range(40):
            connection.send(b" ")
            time.sleep(0.05)
            if connection.is_closed:
                break
        head_answer = connection.read_head()
    assert head_answer is None or head_answer.status == 408
    assert time.monotonic() - begun < BODY_S + 2.5


def test_a_client_that_takes_no_answer_is_cut(client: Caller, gateway: Gateway) -> None:
    (pid,) = gateway.worker_pids()

    def sockets() -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    assert client.post("echo", tool_call(), HEADERS).status == 200
    before = sockets()
    body = json.dumps(tool_call("echo", {"text": "x" * ANSWER_BYTES})).encode()
    head = [("Authorization", f"Bearer {KEYS['alice']}"), ("Content-Type", "application/json"), ("Accept", BOTH)]
    held = []
    for _ in range(8):
        connection = Connection(client.port)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(request("/mcp/echo", body, head))
        held.append(connection)
    wait_for(lambda: sockets() >= before + 6, 5)
    wait_for(lambda: sockets() <= before + 2, 15, "clients that take no answer are waited for")
    for connection in held:
        connection.close()


def test_a_slow_reader_that_reads_gets_its_whole_answer(client: Caller) -> None:
    body = json.dumps(tool_call("echo", {"text": "y" * (3 << 20)})).encode()
    head = [("Authorization", f"Bearer {KEYS['alice']}"), ("Content-Type", "application/json"), ("Accept", BOTH)]
    with Connection(client.port, 20) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.send(request("/mcp/echo", body, head))
        received = b""
        begun = time.monotonic()
        while len(received) < 3 << 20:
            piece = connection.socket.recv(32768)
            assert piece, f"cut after {len(received)} bytes and {time.monotonic() - begun:.1f} s"
            received += piece
            time.sleep(0.03)
    assert time.monotonic() - begun > 2 * BODY_S


def test_a_stream_that_nobody_reads_is_ended_and_said_to_be_the_clients_fault(client: Caller, gateway: Gateway) -> None:
    content = tool_call("stream", {"count": 100_000_000, "interval_ms": 0})
    head = [("Authorization", f"Bearer {KEYS['alice']}"), ("Content-Type", "application/json"), ("Accept", BOTH)]
    connection = Connection(client.port)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.send(request("/mcp/echo", json.dumps(content).encode(), head))
    wait_for(lambda: reason_of(gateway, "tools/call"), 10)
    connection.close()


@pytest.mark.parametrize("accept", [BOTH, "application/json"])
def test_progress_does_not_put_the_total_off(client: Caller, accept: str) -> None:
    begun = time.monotonic()
    answer = client.post("progress", tool_call("work", {"steps": 12}), {"Accept": accept})
    assert answer.reason == "total_timeout"
    assert 1.4 < time.monotonic() - begun < 2.5


@pytest.mark.parametrize("accept", [BOTH, "application/json"])
def test_progress_puts_it_off_where_the_namespace_says_so(client: Caller, accept: str) -> None:
    begun = time.monotonic()
    answer = client.post("patient", tool_call("work", {"steps": 12}), {"Accept": accept})
    assert answer.text == "done" and time.monotonic() - begun > 2.9
    begun = time.monotonic()
    answer = client.post("patient", tool_call("work", {"steps": 12, "kind": "message"}), {"Accept": accept})
    assert answer.reason == "total_timeout", "other notifications are no progress"
    assert time.monotonic() - begun < 2.5
