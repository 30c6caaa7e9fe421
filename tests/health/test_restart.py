"""A restarted upstream that forgot its sessions: bare calls are healed inside, SDK clients begin a new session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from tests.gateway import Gateway
from tests.health.conftest import KEYS
from tests.health.server import Server
from tests.metrics.conftest import tool

RECOVERY_S = 5.0
CALLS_PER_S = 100
CLIENTS = 20


def configuration(url: str) -> dict[str, Any]:
    return {
        "upstreams": {"kept": {"url": url, "era": "legacy"}},
        "namespaces": {"kept": {"upstream": "kept"}},
        "keys": [{"key": KEYS["everywhere"], "user_id": "everywhere", "namespaces": ["kept"]}],
    }


async def _load(gateway: Gateway, seconds: float, ends: list[tuple[float, int]]) -> None:
    """Make bare calls at a steady rate from 20 clients; note when each began and its status (0: broken off)."""
    until = time.monotonic() + seconds
    headers = {"Authorization": f"Bearer {KEYS['everywhere']}"}

    async def work() -> None:
        async with httpx.AsyncClient(timeout=30, headers=headers) as client:
            while time.monotonic() < until:
                begun = time.monotonic()
                try:
                    answer = await client.post(gateway.url("kept"), json=tool("echo", text="x"))
                    status = answer.status_code if "result" in answer.json() else 500
                except httpx.HTTPError:
                    status = 0
                ends.append((begun, status))
                await asyncio.sleep(CLIENTS / CALLS_PER_S)

    await asyncio.gather(*(work() for _ in range(CLIENTS)))


async def test_bare_calls_are_healed_inside(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    server = make_server()
    gateway = make_gateway(workers=2, config=configuration(server.url))
    for _ in range(2):
        ends: list[tuple[float, int]] = []
        load = asyncio.create_task(_load(gateway, 12, ends))
        await asyncio.sleep(2)
        await asyncio.to_thread(server.restart)
        restarted = time.monotonic()
        await load
        late = [status for begun, status in ends if begun >= restarted + RECOVERY_S]
        failed = [(round(begun - restarted, 2), status) for begun, status in ends if status != 200]
        print(f"{len(ends)} calls, {len(failed)} failed, the last {failed[-1] if failed else '-'} s after the restart")
        assert len(late) > 100 and set(late) == {200}, failed


async def test_a_client_of_the_official_sdk_begins_a_new_session(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    server = make_server("tests.upstreams.sdk_server", "--legacy-only")
    gateway = make_gateway(config=configuration(server.url), env={"GATEWAY_PROBE_INTERVAL_S": "0"})
    headers = {"Authorization": f"Bearer {KEYS['everywhere']}"}

    async def session(calls: int, may_go_on: asyncio.Event) -> None:
        """Open a session and make calls, from the second on when we may."""
        async with create_mcp_http_client(headers=headers) as http:
            transport = streamable_http_client(gateway.url("kept"), http_client=http)
            async with Client(transport, mode="legacy", cache=None) as client:
                for _ in range(calls):
                    assert not (await client.call_tool("add", {"a": 2, "b": 3})).is_error
                    done.set()
                    await may_go_on.wait()

    done, restarted = asyncio.Event(), asyncio.Event()
    lost = asyncio.create_task(session(2, restarted))
    await asyncio.wait_for(done.wait(), 30)
    await asyncio.to_thread(server.restart)
    begun = time.monotonic()
    restarted.set()
    errors = await asyncio.wait_for(asyncio.gather(lost, return_exceptions=True), RECOVERY_S)
    assert _is_lost_session(errors[0]), errors
    await session(3, restarted)
    took = time.monotonic() - begun
    print(f"the SDK client had a new session {took:.2f} s after the restart")
    assert took < RECOVERY_S


def _is_lost_session(error: BaseException | None) -> bool:
    """Whether the SDK said that its session is gone; it wraps what happens in its tasks in groups."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_lost_session(one) for one in error.exceptions)
    said = str(error).lower()
    return isinstance(error, MCPError) and ("session not found" in said or "session terminated" in said)
