"""A gateway with two workers whose calls all end in a known way, and its metrics as plain numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from keys import secrets
from tests.conftest import Gateways
from tests.gateway import Gateway, wait_for
from tests.upstreams.listening import started

KEYS = {user: secrets.generate() for user in ("alice", "limited", "watcher")}
SAMPLE = re.compile(r"([a-z0-9_:]+)(?:\{(.*)\})? ([0-9.e+-]+|[+]Inf)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
LABELS = frozenset[tuple[str, str]]


class Samples(dict[tuple[str, LABELS], float]):
    """The samples of one exposition by name and labels."""

    def sum(self, name: str, **labels: str) -> float:
        """Add up the samples of a name that carry the labels given, whatever else they carry."""
        wanted = set(labels.items())
        return sum(value for (found, carried), value in self.items() if found == name and wanted <= carried)

    def label_values(self, label: str) -> set[str]:
        """Return every value of a label."""
        return {value for _, carried in self for name, value in carried if name == label}


def parsed(text: str) -> Samples:
    """Read text 0.0.4; line by line, because the client library's parser puts `_total` on names that have none."""
    samples = Samples()
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.fullmatch(line).groups()  # type: ignore[union-attr]
            samples[name, frozenset(LABEL.findall(labels or ""))] = float(value)
    return samples


def scrape(gateway: Gateway) -> Samples:
    """Return what /metrics says now."""
    answer = gateway.get("/metrics", headers={"Authorization": f"Bearer {KEYS['watcher']}"})
    assert answer.status_code == 200, answer.text
    return parsed(answer.text)


def post(gateway: Gateway, namespace: str, body: Mapping[str, Any], key: str | None = KEYS["alice"]) -> int:
    """Make one call and return its HTTP status."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(gateway.url(namespace), json=body, headers=headers, timeout=30).status_code


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    """Return the body of a tools/call."""
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def configuration(url: str) -> dict[str, Any]:
    """Return what is published, and to whom."""
    return {
        "upstreams": {
            "light": {"url": url, "era": "legacy", "timeouts": {"first_byte": "1s"}},
            # Each of its calls is to fail by itself, however many have before it.
            "dead": {"url": "http://127.0.0.1:10/mcp", "era": "legacy", "circuit_breaker_threshold": 0},
        },
        "namespaces": {
            "open": {"upstream": "light"},
            "closed": {"upstream": "light", "tools": {"mode": "listed", "listed": ["echo"]}},
            "dead": {"upstream": "dead"},
        },
        "keys": [
            {"key": KEYS["alice"], "user_id": "alice", "all_namespaces": True},
            {"key": KEYS["limited"], "user_id": "limited", "all_namespaces": True, "requests_per_minute": 0},
            {"key": KEYS["watcher"], "user_id": "watcher", "sees": "all"},
        ],
    }


@pytest.fixture(scope="session")
def light() -> Iterator[str]:
    """Run the upstream."""
    with started("tests.upstreams.echo_fast") as url:
        yield url


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest, light: str) -> Iterator[Gateway]:
    """Yield the gateway once both workers know the upstream's tools."""
    with Gateways(request) as start:
        yield knowing_its_tools(start(workers=2, config=configuration(light)))


def knowing_its_tools(gateway: Gateway) -> Gateway:
    """Wait until the catalogue is in force: a name that is not in it counts as `other`."""
    before = scrape(gateway).sum("mcp_gateway_tools_called", tool="sleep")

    def known() -> bool:
        statuses = {post(gateway, "open", tool("sleep", ms=0)) for _ in range(8)}
        called = scrape(gateway).sum("mcp_gateway_tools_called", tool="sleep")
        nonlocal before
        gained, before = called - before, called
        return statuses == {200} and gained == 8

    wait_for(known, 60)
    return gateway
