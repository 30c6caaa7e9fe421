"""Sign-in and the REST API count in Redis where there is one, and by themselves while it is away."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.test import override_settings
from django_ratelimit.core import get_usage

from gateway_project.redis_cache import SharedCounters
from tests.redis_server import RedisServer, redis_server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Run a Redis and have django-ratelimit count there."""
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "alone"}
    with redis_server() as server:
        shared = {
            "BACKEND": "gateway_project.redis_cache.SharedCounters",
            "LOCATION": server.url,
            "OPTIONS": {"socket_timeout": 0.2, "socket_connect_timeout": 0.2},
        }
        with override_settings(CACHES={"default": memory, "ratelimit": shared, "ratelimit_alone": memory}):
            SharedCounters._away_until = 0.0
            caches["ratelimit_alone"].clear()
            yield server
            SharedCounters._away_until = 0.0


def count() -> int:
    return int(get_usage(None, group="test", key=lambda *_: "x", rate="100/d", increment=True)["count"])


def test_counters_are_in_redis_and_go_on_without_it(server: RedisServer) -> None:
    assert [count(), count()] == [1, 2]
    assert server.command("DBSIZE") == 1
    server.kill()
    begun = time.monotonic()
    assert [count(), count(), count()] == [1, 2, 3]
    assert time.monotonic() - begun < 1
    server.start()
    SharedCounters._away_until = 0.0  # the pause after a failure is over
    assert count() == 1
    assert server.command("DBSIZE") == 1


def test_a_redis_that_hangs_holds_up_one_request_only(server: RedisServer) -> None:
    server.freeze()
    try:
        begun = time.monotonic()
        assert [count() for _ in range(20)] == list(range(1, 21))
        assert time.monotonic() - begun < 1
    finally:
        server.thaw()
