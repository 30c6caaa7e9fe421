"""The bare call (A.1, A.2): `curl` with a key and a content type, nothing else, against every kind of upstream."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.clients.endpoints import KEY, Endpoints

NAMESPACES = ["session", "stateless", "modern", "sdk"]


@pytest.fixture(autouse=True)
def through_the_gateway(endpoints: Endpoints) -> None:
    """Upstreams refuse a bare call; only the gateway makes it work."""
    if endpoints.is_direct:
        pytest.skip("MCP_CLIENTS_DIRECT is set: a bare call needs the gateway")


def _curl(endpoints: Endpoints, namespace: str, message: dict[str, Any], *words: str) -> str:
    command = ["curl", "-sS", "--fail-with-body", "--max-time", "20", "-X", "POST", endpoints.url(namespace)]
    command += ["-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json", *words]
    done = subprocess.run([*command, "-d", json.dumps(message)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr} {done.stdout}"
    return done.stdout


def _call(name: str, arguments: dict[str, Any], message_id: int | str = 1) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": message_id, "method": "tools/call", "params": params}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_bare_list(endpoints: Endpoints, namespace: str) -> None:
    answer = json.loads(_curl(endpoints, namespace, {"jsonrpc": "2.0", "id": 7, "method": "tools/list"}))
    assert answer["jsonrpc"] == "2.0" and answer["id"] == 7
    assert {"echo", "add"} <= {tool["name"] for tool in answer["result"]["tools"]}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_bare_call_without_a_list_before(endpoints: Endpoints, namespace: str) -> None:
    answer = json.loads(_curl(endpoints, namespace, _call("add", {"a": 20, "b": 22}, "an-id")))
    assert answer["id"] == "an-id" and answer["result"]["content"] == [{"type": "text", "text": "42"}]


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_bare_call_with_progress_collapses_to_one_object(endpoints: Endpoints, namespace: str) -> None:
    answer = json.loads(_curl(endpoints, namespace, _call("slow", {"seconds": 0.3})))
    assert answer["result"]["content"][0]["text"] == "slept 0.3 s"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_accepting_a_stream_gives_events(endpoints: Endpoints, namespace: str) -> None:
    output = _curl(endpoints, namespace, _call("add", {"a": 1, "b": 2}), "-N", "-H", "Accept: text/event-stream")
    data = [line.removeprefix("data:").strip() for line in output.splitlines() if line.startswith("data:")]
    answers = [json.loads(line) for line in data if line]
    assert answers[-1]["id"] == 1 and answers[-1]["result"]["content"][0]["text"] == "3"


def test_many_bare_calls_share_one_upstream_session(endpoints: Endpoints) -> None:
    _curl(endpoints, "session", _call("add", {"a": 0, "b": 0}))
    endpoints.forget("session")
    for number in range(5):
        answer = json.loads(_curl(endpoints, "session", _call("add", {"a": number, "b": 0})))
        assert answer["result"]["content"][0]["text"] == str(number)
    requests = endpoints.seen("session")["requests"]
    assert [request["rpc_method"] for request in requests] == ["tools/call"] * 5
    sessions = {value for request in requests for name, value in request["headers"] if name == "mcp-session-id"}
    assert len(sessions) == 1
