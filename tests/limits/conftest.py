"""A gateway with limits of every kind, over one light upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from keys import secrets
from tests.conftest import Gateways
from tests.gateway import Gateway
from tests.upstreams.listening import started

USERS = ("alice", "bob", "carol", "dave")
KEYS = {name: secrets.generate() for name in (*USERS, "alice-too")}


def configuration(upstream: str, limits: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Return a configuration file: two namespaces, one that hides a tool, a key for each user, and `limits`."""
    keys = {
        name: {"user_id": name.split("-", maxsplit=1)[0], "key": key, "all_namespaces": True}
        for name, key in KEYS.items()
    }
    listed = {"tools": {"mode": "listed", "listed": ["echo", "sl*"]}}
    return {
        "version": 1,
        "upstreams": {"light": {"url": upstream, "era": "legacy"}},
        "namespaces": {
            "docs": {"upstream": "light"},
            "files": {"upstream": "light"},
            "listed": {"upstream": "light"} | listed,
        },
        "limits": limits,
        "keys": [keys[name] | sections.get(name, {}) for name in KEYS],
    }


def ask(gateway: Gateway, namespace: str = "docs", key: str = "alice", tool: str | None = "echo") -> httpx.Response:
    """Call a tool, or with None list the tools."""
    if tool is None:
        return gateway.call(namespace, KEYS[key], "tools/list")
    return gateway.call(namespace, KEYS[key], "tools/call", {"name": tool, "arguments": {}})


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """Return the `data` of a 429."""
    assert answer.status_code == 429, answer.text
    return dict(answer.json()["error"]["data"])


@pytest.fixture(scope="session")
def light() -> Iterator[str]:
    """Run the upstream and yield its URL."""
    with started("tests.upstreams.echo_fast") as url:
        yield url


@pytest.fixture(scope="module")
def start_gateway(request: pytest.FixtureRequest) -> Iterator[Callable[..., Gateway]]:
    """Yield a function that starts gateways; they are stopped after the module."""
    with Gateways(request) as start:
        yield start
