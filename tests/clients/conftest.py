"""Fixtures of the client tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.clients.endpoints import KEY, Endpoints, configuration, running_upstreams


@pytest.fixture(scope="session")
def client_upstreams() -> Iterator[dict[str, str]]:
    """Yield the URL of each upstream by namespace."""
    with running_upstreams() as urls:
        yield urls


@pytest.fixture(scope="package")
def endpoints(request: pytest.FixtureRequest, client_upstreams: dict[str, str]) -> Iterator[Endpoints]:
    """Yield where clients connect: one gateway for all tests here, or the upstreams when MCP_CLIENTS_DIRECT is set."""
    if os.environ.get("MCP_CLIENTS_DIRECT"):
        yield Endpoints(client_upstreams, {}, client_upstreams)
        return
    from tests.conftest import Gateways

    with Gateways(request) as start:
        gateway = start(config=configuration(client_upstreams))
        urls = {name: gateway.url(name) for name in client_upstreams}
        yield Endpoints(urls, {"Authorization": f"Bearer {KEY}"}, client_upstreams)
