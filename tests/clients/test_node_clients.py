"""Clients that need Node: the official TypeScript SDK in both eras, and the command line of MCP Inspector."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.endpoints import Endpoints, wait_until
from tests.conformance import node

pytestmark = pytest.mark.conformance

SCRIPT = Path(__file__).with_name("ts_client.mjs")
MODERN = "2026-07-28"


def _run(*command: str, **env: str) -> str:
    done = subprocess.run(
        [node.binary(), *command], capture_output=True, text=True, timeout=60, env={**os.environ, **env}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", MODERN), (MODERN, MODERN)])
def test_typescript_client(endpoints: Endpoints, mode: str, version: str) -> None:
    endpoints.forget("sdk")
    output = _run(str(SCRIPT), str(node.HERE), endpoints.url("sdk"), mode, json.dumps(endpoints.headers))
    report: dict[str, Any] = json.loads(output)
    assert report["version"] == version
    assert {"echo", "add", "slow", "whoami"} <= set(report["tools"])
    assert report["sum"] == "5" and report["after"] == "2"
    assert report["echo"] == {"message": "żółw 🐢"}
    assert report["slow"] == "slept 1 s"
    assert [step["progress"] for step in report["progress"]] == list(range(11))
    assert report["progress"][-1]["at_ms"] - report["progress"][0]["at_ms"] > 800
    assert report["elicited"] == ["Who are you?"] and "action=accept" in report["elicitation"]
    assert report["unknown"]["code"] == -32602 and "Unknown tool: nothing_like_it" in report["unknown"]["message"]
    assert report["cancelled_after_ms"] < 2000
    wait_until(lambda: _cancellation_arrived(endpoints, version), 5)


def _cancellation_arrived(endpoints: Endpoints, version: str) -> bool:
    seen = endpoints.seen("sdk")
    if version == MODERN:
        return any(ending["how"] == "disconnected" for ending in seen["closed"])
    return any(request["rpc_method"] == "notifications/cancelled" for request in seen["requests"])


def _inspect(endpoints: Endpoints, home: Path, *words: str) -> dict[str, Any]:
    headers = [part for name, value in endpoints.headers.items() for part in ("--header", f"{name}: {value}")]
    target = [endpoints.url("sdk"), "--transport", "http"]
    output = _run(str(node.INSPECTOR), "--cli", *target, *headers, *words, HOME=str(home))
    return dict(json.loads(output))


def test_inspector_lists_tools(endpoints: Endpoints, tmp_path: Path) -> None:
    listed = _inspect(endpoints, tmp_path, "--method", "tools/list")
    assert {"echo", "add", "slow", "whoami"} <= {tool["name"] for tool in listed["tools"]}


def test_inspector_calls_a_tool(endpoints: Endpoints, tmp_path: Path) -> None:
    words = ("--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=20", "--tool-arg", "b=22")
    assert _inspect(endpoints, tmp_path, *words)["content"][0]["text"] == "42"


def test_inspector_gets_a_prompt(endpoints: Endpoints, tmp_path: Path) -> None:
    got = _inspect(endpoints, tmp_path, "--method", "prompts/get", "--prompt-name", "test_simple_prompt")
    assert got["messages"][0]["content"]["text"] == "This is a simple prompt for testing."
