"""The live view under Daphne, as `runserver` has it: it works, and a refusal is a plain 403 there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests import databases
from tests.gateway import Gateway, free_port
from tests.live.client import Live, People, dial
from tests.live.conftest import KEYS
from tests.proxy.test_daphne import DaphneGateway


@pytest.fixture(scope="module")
def daphne(
    migrated_database: str, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Yield a gateway under Daphne; nothing ships its journal but the test itself."""
    url = databases.copy(migrated_database)
    data_dir: Path = tmp_path_factory.mktemp("daphne") / "data"
    gateway = DaphneGateway(database_url=url, config=config, data_dir=data_dir)
    gateway.port = free_port()
    try:
        yield gateway.start()
    finally:
        gateway.close()
        databases.drop(url)


async def test_the_live_view_under_daphne(daphne: Gateway) -> None:
    people = await asyncio.to_thread(People.made, daphne)
    viewer = await Live.open(daphne, people.sessions["root"])
    await viewer.until(lambda message: message.get("feed") == "listening", 10)
    assert (await viewer.filter(user="alice"))["filter"] == {"user": "alice"}
    await viewer.socket.send(b"binary")
    assert (await viewer.until(lambda message: message["type"] == "error"))["reason"] == "not_json"
    row = '["01234567-89ab-cdef-0123-456789abcdef","2026-11-21T09:20:00.250000Z","first",null,"alice",' + (
        '"tools/call","echo","ok",null,200,1500,1,2,null,"192.0.2.7"]'
    )
    daphne.query("SELECT pg_notify('gateway_live', %s)", f"[0,{row}]")
    assert (await viewer.row(user_id="alice"))["client_address"] == "192.0.2.7"
    await viewer.close()


@pytest.mark.parametrize(
    "options", [{}, {"key": "x"}, {"key": KEYS["alice"], "path": "/ws"}, {"key": KEYS["alice"], "path": "/"}]
)
async def test_a_refusal_under_daphne(daphne: Gateway, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await dial(daphne, **options)
    assert refused.value.response.status_code == 403
    assert "Traceback" not in daphne.output(), daphne.output()[-3000:]
