"""Upstream, configuration and size of the reliability tests, and how their figures get into the results."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keys import secrets
from tests.conftest import Gateways
from tests.gateway import Gateway
from tests.proxy.plane import hostile_upstreams
from tests.reliability.meter import WorkerMeter
from tests.upstreams.listening import started

# By their users: two with a namespace each, one with a limit, and some that a single test each may spoil.
SPARE = ("revoked", "narrowed", "expiring", "guessed", "moved")
# Users with a sliding window of 100: by its length in seconds.
WINDOWS = {"windowed-5": 5, "windowed-60": 60}
KEYS = {user: secrets.generate() for user in ("first", "second", "limited", *WINDOWS, *SPARE)}
EVERYWHERE = secrets.generate()
# Deadlines of the gateway that is watched: short, so that what must be cut is cut while a test waits.
HEAD_S, BODY_S, SEND_S = 3.0, 4.0, 3.0
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


@dataclass(frozen=True, slots=True)
class Watched:
    """A gateway with one worker whose cost and lateness can be measured, over upstreams of every kind."""

    gateway: Gateway
    meter: WorkerMeter
    hostile: str  # the hostile upstream's address


@pytest.fixture(scope="package")
def watched(request: pytest.FixtureRequest, config: dict[str, Any]) -> Iterator[Watched]:
    """Namespaces: those of `config`, an `h-<behaviour>` for each hostile one, `idle` and `flood` with GET streams."""
    env = {
        "GATEWAY_HEAD_TIMEOUT_S": str(HEAD_S),
        "GATEWAY_BODY_TIMEOUT_S": str(BODY_S),
        "GATEWAY_SEND_TIMEOUT_S": str(SEND_S),
        "GATEWAY_STREAMS_PER_KEY": "2000",
        "GATEWAY_PROBE_INTERVAL_S": "0",
        "GATEWAY_LOOP_PROBE": str(probe := Path(tempfile.mkdtemp(prefix="loop-"))),
    }
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, probe, ignore_errors=True)
        run = stack.enter_context
        hostile = run(started("tests.upstreams.hostile"))
        streams = {
            name: {"url": run(started("tests.upstreams.echo_fast", "--standing", "--interval-ms", interval))}
            for name, interval in {"idle": "3600000", "flood": "0"}.items()
        }
        more = hostile_upstreams(hostile) | {name: entry | {"era": "legacy"} for name, entry in streams.items()}
        whole = config | {
            "upstreams": config["upstreams"] | more,
            "namespaces": config["namespaces"] | {name: {"upstream": name} for name in more},
            "keys": [*config["keys"], {"key": EVERYWHERE, "user_id": "everywhere", "all_namespaces": True}],
        }
        gateway = run(Gateways(request))(config=whole, env=env)
        yield Watched(gateway, WorkerMeter(gateway.worker_pids()[0], probe), hostile)


@pytest.fixture(
    params=[
        pytest.param("short", marks=pytest.mark.timeout(300)),
        pytest.param("full", marks=[pytest.mark.slow, pytest.mark.timeout(2700)]),
    ]
)
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
