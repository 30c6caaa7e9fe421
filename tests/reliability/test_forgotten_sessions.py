"""An upstream that restarts under load and has forgotten its sessions: bare calls are healed, SDK clients come back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from tests.gateway import Gateway, free_port
from tests.reliability.conftest import KEYS, Figure
from tests.reliability.load import Load
from tests.upstreams.listening import started

logging.getLogger("httpx2").setLevel(logging.WARNING)  # the SDK's client says each request
CALLS_PER_S, SDK_CLIENTS, AWAY_S, WITHIN_S = 100, 5, 1.0, 5.0


class SdkClient:
    """The official SDK's session-keeping client, which connects again when its session has ended, as an agent does."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        self.good_at: list[float] = []
        self.sessions = 0
        self.troubles: list[str] = []
        self.is_wanted = True

    async def run(self) -> None:
        """Call again and again until nobody wants it; the SDK may turn a cancellation into an error of its own."""
        while self.is_wanted:
            try:
                await self._session()
            except Exception as error:
                self.troubles.append(repr(error))
            await asyncio.sleep(0.1)

    async def _session(self) -> None:
        async with create_mcp_http_client(headers={"Authorization": f"Bearer {self.key}"}) as http:
            transport = streamable_http_client(self.url, http_client=http)
            async with Client(transport, mode="legacy", cache=None) as client:
                self.sessions += 1
                while self.is_wanted:
                    result = await client.call_tool("echo", {"nonce": "x"})
                    assert not result.is_error
                    self.good_at.append(time.monotonic())
                    await asyncio.sleep(0.1)


@contextlib.contextmanager
def _upstream(port: int) -> Iterator[None]:
    with started("tests.upstreams.echo_fast", "--sessions", "--port", str(port)):
        yield


async def test_calls_succeed_again_after_an_upstream_forgot_its_sessions(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], full: bool, figure: Figure
) -> None:
    port = free_port()
    upstreams = {"light": {"url": f"http://127.0.0.1:{port}/mcp", "era": "legacy"}}
    gateway = make_gateway(workers=2, config=config | {"upstreams": upstreams})
    rounds = 5 if full else 1
    load = Load(gateway.port, "/mcp/first", KEYS["first"], "bare", CALLS_PER_S, bare=True)
    clients = [SdkClient(gateway.url("second"), KEYS["second"]) for _ in range(SDK_CLIENTS)]
    recovered: list[float] = []
    late = 0
    running = await asyncio.to_thread(_enter, port)
    tasks = [asyncio.create_task(client.run()) for client in clients]
    async with load.running():
        async with asyncio.timeout(20):
            while not all(client.good_at for client in clients):
                assert not any(client.troubles for client in clients), clients[0].troubles
                await asyncio.sleep(0.1)
        for _ in range(rounds):
            await asyncio.to_thread(running.close)
            await asyncio.sleep(AWAY_S)
            running = await asyncio.to_thread(_enter, port)
            back = time.monotonic()
            await asyncio.sleep(WITHIN_S + 2)
            late += sum(moment > back + WITHIN_S for moment in load.failed_at)
            recovered += [min([t - back for t in client.good_at if t > back], default=99.0) for client in clients]
    for client in clients:
        client.is_wanted = False
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks)
    await asyncio.to_thread(running.close)
    in_between = load.failed.total() - late
    figure(
        "–, sessions",
        f"a session-keeping upstream killed for {AWAY_S:g} s × {rounds} under {CALLS_PER_S} bare calls/s and "
        f"{SDK_CLIENTS} clients of the Python SDK; 2 workers",
        f"{late} of {load.sent:,} bare calls failed later than {WITHIN_S:g} s after its return ({in_between} before); "
        f"SDK clients had their next answer after {max(recovered):.1f} s at most",
        f"0; ≤ {WITHIN_S:g} s",
    )
    assert late == 0
    assert len(load.answered) > load.sent // 2
    assert max(recovered) <= WITHIN_S
    assert all(client.sessions >= rounds + 1 for client in clients), "no client had to open a new session"


def _enter(port: int) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(_upstream(port))
    return stack
