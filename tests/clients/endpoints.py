"""Where the clients of these tests connect: namespaces of one gateway, or the upstreams themselves."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.upstreams.listening import started

# What each namespace stands before: its module and how it is started.
UPSTREAMS: dict[str, tuple[str, ...]] = {
    "sdk": ("tests.upstreams.sdk_server",),
    "session": ("tests.upstreams.sdk_server", "--legacy-only"),
    "stateless": ("tests.upstreams.sdk_server", "--legacy-only", "--stateless"),
    "modern": ("tests.upstreams.sdk_server", "--modern-only"),
}
KEY = "clients-of-the-tests-0123456789abcdef"


def configuration(upstreams: dict[str, str]) -> dict[str, Any]:
    """A gateway configuration that publishes each upstream under its name, for one key."""
    return {
        "namespaces": {name: {"url": url, "description": f"{name} upstream"} for name, url in upstreams.items()},
        "auth": {"enabled": True, "api_keys": {KEY: {"user_id": "clients", "description": "client tests"}}},
        "rate_limit": {"enabled": False},
    }


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The URLs that clients use, the headers that they send, and the upstreams behind."""

    urls: dict[str, str]
    headers: dict[str, str]
    upstreams: dict[str, str]

    def url(self, namespace: str) -> str:
        """The URL that a client of the namespace uses."""
        return self.urls[namespace]

    @property
    def is_direct(self) -> bool:
        """Whether no gateway stands in between."""
        return self.urls == self.upstreams

    def seen(self, namespace: str) -> dict[str, Any]:
        """What reached the upstream of a namespace."""
        with urllib.request.urlopen(self._record(namespace)) as answer:
            return dict(json.load(answer))

    def forget(self, namespace: str) -> None:
        """Clear the upstream's record."""
        urllib.request.urlopen(urllib.request.Request(self._record(namespace), method="DELETE")).close()

    def _record(self, namespace: str) -> str:
        return f"{self.upstreams[namespace].removesuffix('/mcp')}/_seen"


@contextlib.contextmanager
def running_upstreams() -> Iterator[dict[str, str]]:
    """Start every upstream; yields their URLs by namespace."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(started(*command)) for name, command in UPSTREAMS.items()}


def wait_until(condition: Callable[[], bool], within_s: float) -> float:
    """Poll a condition; answers how long it took.

    Raises:
        AssertionError: it did not come true in time.
    """
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < within_s, f"not true within {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - begun
