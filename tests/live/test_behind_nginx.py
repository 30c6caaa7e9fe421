"""The example of deploy/nginx.conf carries the live view, and upgrades nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests import nginx
from tests.gateway import Gateway
from tests.live.client import Live, People
from tests.live.conftest import ENVIRONMENT, KEYS

pytestmark = nginx.needed
PUBLIC = "https://mcp.example.com"


@pytest.fixture
def proxied(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], tmp_path: Path
) -> Iterator[tuple[Gateway, int]]:
    """Yield a gateway and the port of an nginx in front of it, which runs the example but for TLS."""
    env = ENVIRONMENT | {"GATEWAY_PUBLIC_URL": PUBLIC, "GATEWAY_TRUSTED_PROXIES": "127.0.0.1"}
    gateway = make_gateway(workers=1, config=config, env=env)
    with nginx.in_front_of(gateway, tmp_path) as port:
        yield gateway, port


async def test_the_live_view_passes(proxied: tuple[Gateway, int]) -> None:
    gateway, port = proxied
    session = People.made(gateway).sessions["root"]
    headers = {"Cookie": f"gateway_session={session}"}
    address = "ws://mcp.example.com/ws/live"
    options: dict[str, Any] = {"additional_headers": headers, "proxy": None, "host": "127.0.0.1", "port": port}
    viewer = Live(await connect(address, origin=PUBLIC, **options))  # type: ignore[arg-type]
    await viewer.listening()
    call = (gateway.call, "first", KEYS["alice"], "tools/call", {"name": "echo", "arguments": {}})
    assert (await asyncio.to_thread(*call)).status_code == 200
    await viewer.row(user_id="alice")
    await viewer.close()
    for origin in ("https://evil.example", None):
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, origin=origin, **options)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
