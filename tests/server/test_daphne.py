"""The main flow under Daphne, which has no lifespan: the data plane starts with the first request."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tests import databases
from tests.gateway import ROOT, Gateway, free_port, wait_for
from tests.upstreams.listening import started


@contextmanager
def daphne(gateway: Gateway) -> Iterator[str]:
    """Run Daphne on the gateway's database and journal; yields its address."""
    port = free_port()
    command = [sys.executable, "-m", "daphne", "--bind", "127.0.0.1", "--port", str(port)]
    with gateway.log_path.open("ab") as log:
        process = subprocess.Popen(
            [*command, "gateway_project.asgi:application"], cwd=ROOT, env=gateway.env, stdout=log, stderr=log
        )
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: is_up(base), 30, gateway.output)
        yield base
    finally:
        process.terminate()
        process.wait(20)


def is_up(base: str) -> bool:
    try:
        return httpx.get(f"{base}/live", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_main_flow_works_under_daphne(make_gateway: Callable[..., Gateway]) -> None:
    with started("tests.upstreams.echo_fast") as upstream:
        config = {"namespaces": {"echo": {"url": upstream, "allowed_tools": ["add", "stream"]}}}
        gateway = make_gateway(config=config)
        key = gateway.create_key("--user", "daphne", "--namespace", "echo")
        with daphne(gateway) as base:
            with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=20) as client:
                assert call(client, "tools/list").json()["result"]["tools"][0]["name"] == "add"
                added = call(client, "tools/call", {"name": "add", "arguments": {"a": 2, "b": 3}})
                assert added.json()["result"]["content"][0]["text"] == "5"
                denied = call(client, "tools/call", {"name": "echo", "arguments": {}})
                assert denied.json()["error"]["code"] == -32602
                arguments = {"count": 3, "interval_ms": 10}
                streamed = call(client, "tools/call", {"name": "stream", "arguments": arguments}, "text/event-stream")
                assert streamed.text.count("data: ") == 4
                assert client.get("/ready").status_code == 200
            assert httpx.post(f"{base}/mcp/echo", json={}).status_code == 401
            assert "Log in" in httpx.get(f"{base}/admin/login/").text
        count = "SELECT count(*) FROM analytics_requestlog WHERE user_id = 'daphne'"
        wait_for(lambda: databases.query(gateway.sql_url, count) == [(4,)], 10, "calls are missing from the log")


def call(client: httpx.Client, method: str, params: object = None, accept: str | None = None) -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": method} | ({} if params is None else {"params": params})
    return client.post("/mcp/echo", json=body, headers={"Accept": accept} if accept else None)
