"""Upstreams that can be restarted, and a gateway that checks them each second."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from keys import secrets
from tests.health.server import Server

KEYS = {user: secrets.generate() for user in ("everywhere", "first-only", "watcher")}


@pytest.fixture
def make_server() -> Iterator[Callable[..., Server]]:
    """Yield a function that starts an upstream; all are stopped after the test."""
    made: list[Server] = []

    def make(*command: str) -> Server:
        made.append(Server(*(command or ("tests.upstreams.echo_fast", "--sessions"))))
        return made[-1]

    yield make
    for server in made:
        if server.process is not None:
            server.go_on()
        server.stop()
