"""Everything around the live view may stop and start again; the view says so, and goes on by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from websockets.exceptions import InvalidStatus

from tests import databases
from tests.gateway import Gateway, wait_for
from tests.live.client import Live, People, dial
from tests.live.conftest import ENVIRONMENT, KEYS
from tests.live.load import Generator, open_deaf
from tests.reliability.external_postgres import ExternalPostgres

ECHO = {"name": "echo", "arguments": {}}


@pytest.fixture
def external() -> Iterator[ExternalPostgres]:
    """Run a server of somebody else's."""
    server = ExternalPostgres()
    try:
        yield server.start().create_database()
    finally:
        server.close()


def _call(gateway: Gateway, user: str = "alice") -> None:
    assert gateway.call("first", KEYS[user], "tools/call", ECHO).status_code == 200


def _listeners(gateway: Gateway) -> int:
    question = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'gateway live view' AND datname = current_database()"
    )
    return int(gateway.query(question)[0][0])


async def test_postgres_is_killed_and_comes_back(
    external: ExternalPostgres, make_gateway: Callable[..., Gateway], config: dict[str, Any]
) -> None:
    gateway = make_gateway(workers=2, config=config, env=ENVIRONMENT, database_url=external.url)
    people = People.made(gateway)
    views = [await (await Live.open(gateway, people.sessions["root"])).listening() for _ in range(4)]
    external.crash()
    for view in views:
        await view.until(lambda message: message.get("feed") == "interrupted")
    await asyncio.to_thread(_call, gateway)  # calls go on
    with pytest.raises(InvalidStatus) as refused:
        await dial(gateway, people.sessions["root"])
    assert refused.value.response.status_code == 503
    await asyncio.sleep(1)
    external.start()
    begun = time.monotonic()
    for view in views:
        await view.until(lambda message: message.get("feed") == "listening", 15)
    print(f"listening again {time.monotonic() - begun:.1f} s after PostgreSQL was back")
    await asyncio.sleep(3)
    await asyncio.to_thread(_call, gateway, "carol")
    for view in views:
        await view.row(user_id="carol")
        await view.close()
    assert "Traceback" not in gateway.output(), gateway.output()[-3000:]


async def test_the_shipper_is_killed(live: Gateway, people: People, call: Callable[..., str]) -> None:
    viewer = await (await Live.open(live, people.sessions["root"])).listening()
    killed = live.pid_of("shipper")
    assert killed
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: live.pid_of("shipper") not in (None, 0, killed), 10)
    deadline = time.monotonic() + 15
    while not viewer.rows and time.monotonic() < deadline:
        await asyncio.to_thread(call)
        await viewer.rows_within(0.5)
    assert viewer.rows
    await viewer.close()


async def test_the_listening_connection_is_cut(live: Gateway, people: People, call: Callable[..., str]) -> None:
    viewer = await (await Live.open(live, people.sessions["root"])).listening()
    live.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gateway live view'")
    await viewer.until(lambda message: message.get("feed") == "interrupted")
    await viewer.listening()
    await asyncio.to_thread(call)
    await viewer.row(user_id="alice")
    await viewer.close()


async def test_without_viewers_nobody_listens_and_nothing_is_announced(
    live: Gateway, people: People, call: Callable[..., str]
) -> None:
    views = [await (await Live.open(live, people.sessions["root"])).listening() for _ in range(3)]
    assert 1 <= _listeners(live) <= 2  # one a worker, however many views it has
    for view in views:
        await view.close()
    await asyncio.to_thread(wait_for, lambda: _listeners(live) == 0, 5)
    await asyncio.sleep(1.5)  # the shipper looks once a second
    assert live.database_url is not None
    with psycopg.connect(live.database_url, autocommit=True) as connection:
        connection.execute("LISTEN gateway_live")
        for _ in range(10):
            await asyncio.to_thread(call)
        assert list(connection.notifies(timeout=1.5)) == []


async def test_a_junk_announcement_does_no_harm(live: Gateway, people: People, call: Callable[..., str]) -> None:
    viewer = await (await Live.open(live, people.sessions["root"])).listening()
    assert live.database_url is not None
    for payload in ("nonsense", "[]", '[0,["x"]]', '[0,[{"a":1}]]', "[1e400]"):
        databases.query(live.database_url, "SELECT pg_notify('gateway_live', %s)", payload)
    await asyncio.to_thread(call)
    await viewer.row(user_id="alice")
    await viewer.close()


@pytest.mark.alone
async def test_sigterm_sends_viewers_away_at_once(make_gateway: Callable[..., Gateway], config: dict[str, Any]) -> None:
    env = ENVIRONMENT | {"GATEWAY_DRAIN_NOTICE_S": "1", "GATEWAY_DRAIN_TIMEOUT_S": "10"}
    gateway = make_gateway(workers=2, config=config, env=env)
    people = People.made(gateway)
    views = [await (await Live.open(gateway, people.sessions["root"])).listening() for _ in range(8)]
    sleep = {"name": "sleep", "arguments": {"ms": 1500}}
    slow = asyncio.create_task(asyncio.to_thread(gateway.call, "first", KEYS["alice"], "tools/call", sleep))
    await asyncio.sleep(0.3)
    assert gateway.process is not None
    begun = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    ends = await asyncio.gather(*(view.closed() for view in views))
    closed_after = time.monotonic() - begun
    assert ends == [(1001, "the gateway is stopping")] * 8
    assert (await slow).status_code == 200
    code = await asyncio.to_thread(gateway.process.wait, 30)
    took = time.monotonic() - begun
    print(f"8 viewers were sent away after {closed_after * 1000:.0f} ms, the gateway ended after {took:.1f} s")
    assert closed_after < 1.0
    assert code == 0 and took < 8
    assert "Traceback" not in gateway.output(), gateway.output()[-3000:]


@pytest.mark.alone
async def test_sigterm_does_not_wait_for_who_never_reads(
    make_gateway: Callable[..., Gateway], config: dict[str, Any]
) -> None:
    gateway = make_gateway(workers=1, config=config, env=ENVIRONMENT)
    people = People.made(gateway)
    deaf = [await asyncio.to_thread(open_deaf, gateway, people.sessions["root"]) for _ in range(3)]
    with Generator(gateway, 1500):
        await asyncio.sleep(5)
    begun = time.monotonic()
    code = await asyncio.to_thread(gateway.stop)
    print(f"stopped after {time.monotonic() - begun:.1f} s beside {len(deaf)} sockets that never read")
    assert code == 0 and time.monotonic() - begun < 8
    for client in deaf:
        client.close()
    assert "Traceback" not in gateway.output(), gateway.output()[-3000:]
