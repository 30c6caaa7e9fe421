"""Upstream, configuration and size of the reliability tests, and how their figures get into the results."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keys import secrets
from tests.conftest import Gateways
from tests.gateway import Gateway
from tests.upstreams.listening import started

# By their users: two with a namespace each, one with a limit, and some that a single test each may spoil.
SPARE = ("revoked", "narrowed", "expiring", "guessed")
# Users with a sliding window of 100: by its length in seconds.
WINDOWS = {"windowed-5": 5, "windowed-60": 60}
KEYS = {user: secrets.generate() for user in ("first", "second", "limited", *WINDOWS, *SPARE)}
Figure = Callable[..., None]


class Upstream:
    """The upstream behind every namespace, and what it noticed."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self) -> set[str]:
        """Which calls wait there now, by their nonces."""
        return set(self._get("_open"))

    def left(self) -> dict[str, float]:
        """Who left, and when (monotonic clock)."""
        return dict(self._get("_left"))

    def count(self) -> dict[str, int]:
        """How many calls came, were answered, are open, were left."""
        return dict(self._get("_count"))

    def _get(self, name: str) -> Any:
        with urllib.request.urlopen(self.url.replace("/mcp", f"/{name}"), timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """Run the upstream."""
    with started("tests.upstreams.echo_fast", "--standing") as url:
        yield Upstream(url)


@pytest.fixture(scope="session")
def config(upstream: Upstream) -> dict[str, Any]:
    """Two namespaces that mount one upstream, a key for each; one with an allow list; one for a limited key."""
    listed = {"tools": {"mode": "listed", "listed": ["echo", "add"]}}
    key = {name: {"user_id": name, "key": value} for name, value in KEYS.items()}
    return {
        "version": 1,
        "upstreams": {"light": {"url": upstream.url, "era": "legacy"}},
        "namespaces": {name: {"upstream": "light"} for name in ("first", "second", "limited")}
        | {"listed": {"upstream": "light"} | listed},
        "keys": [
            key["first"] | {"namespaces": ["first", "listed"]},
            key["second"] | {"namespaces": ["second", "listed"]},
            key["limited"] | {"namespaces": ["limited"], "requests_per_minute": 100, "burst": 10},
            *(key[user] | {"namespaces": ["limited"]} for user in WINDOWS),
            *(key[user] | {"namespaces": ["first", "listed"]} for user in SPARE),
        ],
        "limits": {
            user: {"user_id": user, "requests": 100, "window": seconds, "algorithm": "sliding_window"}
            for user, seconds in WINDOWS.items()
        },
    }


@pytest.fixture(scope="package")
def four_workers(request: pytest.FixtureRequest, config: dict[str, Any]) -> Iterator[Gateway]:
    """One gateway with four workers, for the tests that do it no harm."""
    with Gateways(request) as start:
        yield start(workers=4, config=config)


@pytest.fixture(params=["short", pytest.param("full", marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the test runs at its full length."""
    return bool(request.param == "full")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Record what a test found: its row, its load, the result and the floor, each in words."""

    def record(row: str, load: str, result: str, floor: str) -> None:
        for name, value in {"row": row, "load": load, "result": result, "floor": floor}.items():
            record_property(name, value)
        print(f"{row}: {load}: {result} (floor: {floor})")

    return record
