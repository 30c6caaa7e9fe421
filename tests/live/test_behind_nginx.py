"""The example of deploy/nginx.conf carries the live view, and upgrades nothing else."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.gateway import Gateway, free_port, wait_for
from tests.live.client import Live, People
from tests.live.conftest import ENVIRONMENT, KEYS

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
pytestmark = pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed")
PUBLIC = "https://mcp.example.com"


@pytest.fixture
def proxied(
    make_gateway: Callable[..., Gateway], config: dict[str, Any], tmp_path: Path
) -> Iterator[tuple[Gateway, int]]:
    """Yield a gateway and the port of an nginx in front of it, which runs the example but for TLS."""
    env = ENVIRONMENT | {"GATEWAY_PUBLIC_URL": PUBLIC, "GATEWAY_TRUSTED_PROXIES": "127.0.0.1"}
    gateway, port = make_gateway(workers=1, config=config, env=env), free_port()
    example = (Path(__file__).resolve().parents[2] / "deploy/nginx.conf").read_text()
    site = re.sub(r"\n *ssl_certificate.*", "", example).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    site = site.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}").replace("$scheme", "https")
    paths = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in "client_body proxy fastcgi uwsgi scgi".split())
    conf = tmp_path / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    conf.write_text(
        f"{user} daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}"
        f" http {{ access_log off; {paths} {site} }}"
    )
    process = subprocess.Popen([NGINX, "-e", str(tmp_path / "log"), "-c", str(conf)])
    try:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), 10)
        yield gateway, port
    finally:
        process.terminate()
        process.wait(10)


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
