"""P14 and P16: calls go on while PostgreSQL is away, and every one of them is on record once afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Gateway
from tests.reliability.client import Connection, protocol_headers, tool_call
from tests.reliability.conftest import KEYS, Figure
from tests.reliability.external_postgres import ExternalPostgres
from tests.reliability.ledger import compare, rows_of
from tests.reliability.load import Load

CALLS_PER_S = 200
UNKNOWN_KEY = "mcpgw_nobody-has-this-key-0123456789"


@dataclass
class Watch:
    """What a client without a key and a load balancer saw meanwhile."""

    not_ready: int = 0
    let_in: int = 0
    looks: int = 0

    async def look_for(self, gateway: Gateway, seconds: float) -> None:
        """Ask four times a second whether the gateway is ready, and whether an unknown key is refused."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            connection = await Connection.open(gateway.port)
            ready = await connection.call("GET", "/ready", {})
            headers = protocol_headers(UNKNOWN_KEY)
            refused = await connection.call("POST", "/mcp/first", headers, tool_call("echo", {}))
            connection.close()
            self.looks += 1
            self.not_ready += ready.status != 200
            self.let_in += refused.status != 401
            await asyncio.sleep(0.25)


def _judge(gateway: Gateway, load: Load, watch: Watch, load_text: str, figure: Figure) -> None:
    found = compare(gateway, load.name, load.answered)
    rows = rows_of(gateway, load.name, "ok")
    figure(
        "P14, P16",
        load_text,
        f"{load.sent:,} calls, {load.failed.total()} failed, slowest {load.slowest_s * 1000:.0f} ms; "
        f"{found.missing} rows lost, {found.doubled} doubled, backlog shipped after {found.waited_s:.1f} s; "
        f"/ready said no in {watch.not_ready} and an unknown key was let in {watch.let_in} of {watch.looks} times",
        "0 failed, 0 lost, 0 doubled",
    )
    assert load.failed == {}
    assert (found.missing, found.doubled) == (0, 0)
    assert rows.total() == load.sent
    assert (watch.not_ready, watch.let_in) == (0, 0)
    assert watch.looks > 3


@pytest.fixture
def external() -> Iterator[ExternalPostgres]:
    """Run a server of somebody else's."""
    server = ExternalPostgres()
    try:
        yield server.start().create_database()
    finally:
        server.close()


async def test_an_external_server_is_away(
    external: ExternalPostgres,
    make_gateway: Callable[..., Gateway],
    config: dict[str, Any],
    full: bool,
    figure: Figure,
) -> None:
    seconds = 60 if full else 8
    gateway = await asyncio.to_thread(make_gateway, workers=2, config=config, database_url=external.url)
    load = Load(gateway.port, "/mcp/first", KEYS["first"], "external", CALLS_PER_S)
    watch = Watch()
    async with load.running():
        await asyncio.sleep(1)
        await asyncio.to_thread(external.crash)
        await watch.look_for(gateway, seconds)
        await asyncio.to_thread(external.start)
        await asyncio.sleep(2)
    text = f"{CALLS_PER_S} calls/s on 2 workers, PostgreSQL {external.binaries.major} of DATABASE_URL away {seconds} s"
    await asyncio.to_thread(_judge, gateway, load, watch, text, figure)


def _postmaster(gateway: Gateway) -> int | None:
    """The first process of the embedded server, if it runs now."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int((gateway.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        if Path(f"/proc/{pid}/comm").read_text().strip() == "postgres":
            return pid
    return None


async def _kill_embedded(gateway: Gateway, until: float) -> tuple[int, int]:
    """Kill the embedded server whenever it runs, each third time its keeper instead; return how often each.

    Goes on past `until` (monotonic clock) until there were three kills of a server and one of a keeper.
    """
    servers = keepers = 0
    while time.monotonic() < until or servers < 3 or keepers < 1:
        await asyncio.sleep(2)
        assert time.monotonic() < until + 30, "the embedded server does not come back"
        pid = _postmaster(gateway)
        if pid is None:
            continue
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if (servers + keepers) % 3 == 2:
                os.kill(_parent_of(pid), signal.SIGKILL)
                keepers += 1
            else:
                os.kill(pid, signal.SIGKILL)
                servers += 1
    return servers, keepers


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_the_embedded_server_is_killed(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], full: bool, figure: Figure
) -> None:
    seconds = 60 if full else 8
    gateway = await asyncio.to_thread(make_gateway, workers=2, config=config, embedded=True)
    load = Load(gateway.port, "/mcp/first", KEYS["first"], "embedded", CALLS_PER_S)
    watch = Watch()
    async with load.running():
        killing = asyncio.create_task(_kill_embedded(gateway, time.monotonic() + seconds))
        await watch.look_for(gateway, seconds)
        servers, keepers = await killing
    text = f"{CALLS_PER_S} calls/s on 2 workers, in {seconds} s kill -9 of the embedded server × {servers}"
    text += f", of its keeper × {keepers}"
    await asyncio.to_thread(_judge_when_back, gateway, load, watch, text, figure)


def _judge_when_back(gateway: Gateway, load: Load, watch: Watch, text: str, figure: Figure) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            gateway.query("SELECT 1")
            break
        except Exception:
            assert time.monotonic() < deadline, "the embedded server did not come back"
            time.sleep(0.2)
    _judge(gateway, load, watch, text, figure)
