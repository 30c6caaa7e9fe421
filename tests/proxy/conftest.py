"""One gateway over real upstreams for every test here, and a caller for it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Gateways
from tests.gateway import Gateway, free_port
from tests.proxy.plane import Caller, configuration
from tests.upstreams.listening import started

COMMANDS: dict[str, tuple[str, ...]] = {
    "sdk": ("tests.upstreams.sdk_server",),
    "echo": ("tests.upstreams.echo_fast",),
    "kept": ("tests.upstreams.echo_fast", "--sessions"),
    "hostile": ("tests.upstreams.hostile",),
}
# Short, so that what must be cut in time is cut while a test waits.
ENVIRONMENT = {
    "GATEWAY_HEAD_TIMEOUT_S": "1.5",
    "GATEWAY_BODY_TIMEOUT_S": "1.5",
    "GATEWAY_KEEP_ALIVE_COMMENT_S": "0.5",
    "GATEWAY_STREAMS_PER_KEY": "8",
    "GATEWAY_ALLOWED_ORIGINS": "https://console.example",
    "GATEWAY_BREAKER_THRESHOLD": "0",  # each broken answer is looked at, however many came before it
    "GATEWAY_PROBE_INTERVAL_S": "0",  # nothing but the tests may reach the upstreams
}


@pytest.fixture(scope="package")
def plane_upstreams() -> Iterator[dict[str, str]]:
    """Yield the URLs of the upstreams by name; at that of `restarted` a test starts one when it wants."""
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(started(*command)) for name, command in COMMANDS.items()}
        yield urls | {"restarted": f"http://127.0.0.1:{free_port()}/mcp"}


@pytest.fixture(scope="package")
def plane(request: pytest.FixtureRequest, plane_upstreams: dict[str, str]) -> Iterator[Gateway]:
    """Yield the gateway. Its environment names a proxy, which nothing may ever use."""
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), plane_upstreams["hostile"])
    with Gateways(request) as start:
        yield start(config=configuration(plane_upstreams), env=ENVIRONMENT | proxies)


@pytest.fixture(scope="package")
def caller(plane: Gateway, plane_upstreams: dict[str, str]) -> Caller:
    """Return a client of the gateway."""
    return Caller(plane, plane_upstreams)


@pytest.fixture(scope="module")
def start_gateway(request: pytest.FixtureRequest) -> Iterator[Callable[..., Gateway]]:
    """Yield a function that starts further gateways; they are stopped after the module."""
    with Gateways(request) as start:
        yield start


@pytest.fixture(autouse=True)
def no_traceback(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that makes the gateway write a traceback."""
    if "plane" not in request.fixturenames and "caller" not in request.fixturenames:
        yield
        return
    gateway: Gateway = request.getfixturevalue("plane")
    before = len(gateway.output())
    yield
    written = gateway.output()[before:]
    assert not re.search(r"Traceback|failed inside the gateway", written), written[-4000:]
