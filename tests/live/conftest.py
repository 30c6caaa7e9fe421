"""A gateway with two workers, people with different rights, and clients of its live view on real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keys import secrets
from tests.conftest import Gateways
from tests.gateway import Gateway
from tests.live.client import People
from tests.upstreams.listening import started

KEYS = {user: secrets.generate() for user in ("alice", "bob", "carol")}
ENVIRONMENT = {
    "GATEWAY_PROBE_INTERVAL_S": "0",
    "GATEWAY_ALLOWED_ORIGINS": "https://console.example",
    "GATEWAY_LIVE_VIEWERS": "12",
    "GATEWAY_FAILED_CREDENTIALS_PER_MINUTE": "60",
}


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """Yield the URL of an upstream that answers at once."""
    with started("tests.upstreams.echo_fast") as url:
        yield url


@pytest.fixture(scope="session")
def config(upstream: str) -> dict[str, Any]:
    """Two namespaces; alice may use the first, bob the second, carol both."""
    reach = {"alice": ["first"], "bob": ["second"], "carol": ["first", "second"]}
    return {
        "version": 1,
        "upstreams": {"light": {"url": upstream, "era": "legacy"}},
        "namespaces": {name: {"upstream": "light"} for name in ("first", "second")},
        "keys": [{"user_id": user, "key": KEYS[user], "namespaces": names} for user, names in reach.items()],
    }


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest, config: dict[str, Any]) -> Iterator[Gateway]:
    """Yield a gateway that the tests of a module share."""
    with Gateways(request) as start:
        yield start(workers=2, config=config, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def people(live: Gateway) -> People:
    """Return the accounts of that gateway: an administrator, alice (a member) and ann (auditor of the first)."""
    return People.made(live)


@pytest.fixture
def call(live: Gateway) -> Callable[..., str]:
    """Return a function that makes a call of a tool as a user and returns its record's request id."""

    def make(user: str = "alice", namespace: str = "first", tool: str = "echo", **arguments: Any) -> str:
        params = {"name": tool, "arguments": arguments}
        answer = live.call(namespace, KEYS[user], "tools/call", params)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-request-id"])

    return make


@pytest.fixture(autouse=True)
def no_traceback(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that makes the gateway write a traceback."""
    if "live" not in request.fixturenames:
        yield
        return
    gateway: Gateway = request.getfixturevalue("live")
    before = len(gateway.output())
    yield
    written = gateway.output()[before:]
    assert "Traceback" not in written, written[-4000:]
