"""Active checks and what the traffic says, through a real gateway: states, history, /readyz, REST and metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.gateway import Gateway, wait_for
from tests.health.conftest import KEYS
from tests.health.server import Server
from tests.metrics.conftest import Samples, parsed, post, tool

EACH_SECOND = {"health_interval": 1}


def configuration(**servers: dict[str, Any]) -> dict[str, Any]:
    """Publish each upstream under its own name; `first-only` may use the one called `first`."""
    return {
        "upstreams": {name: EACH_SECOND | settings for name, settings in servers.items()},
        "namespaces": {name: {"upstream": name} for name in servers},
        "keys": [
            {"key": KEYS["everywhere"], "user_id": "everywhere", "all_namespaces": True},
            {"key": KEYS["first-only"], "user_id": "first-only", "namespaces": ["first"]},
            {"key": KEYS["watcher"], "user_id": "watcher", "sees": "all", "all_namespaces": True},
        ],
    }


def states(gateway: Gateway) -> dict[str, str]:
    """The present state of each upstream."""
    found = gateway.query(
        "SELECT u.slug, s.health FROM namespaces_upstream u"
        " LEFT JOIN namespaces_upstreamstatus s ON s.upstream_id = u.id"
    )
    return {str(slug): str(health) for slug, health in found}


def history(gateway: Gateway, slug: str) -> list[tuple[str, str]]:
    """State and reason of each span, the oldest first."""
    return gateway.query(  # type: ignore[return-value]
        "SELECT s.health, s.reason FROM namespaces_healthspan s JOIN namespaces_upstream u ON u.id = s.upstream_id"
        " WHERE u.slug = %s ORDER BY s.began_at",
        slug,
    )


def readyz(gateway: Gateway, user: str | None = None) -> httpx.Response:
    """Ask /readyz, with a key or as a stranger."""
    headers = {"Authorization": f"Bearer {KEYS[user]}"} if user else {}
    return gateway.get("/readyz", headers=headers)


def settle_at(gateway: Gateway, status: int) -> None:
    """Wait until every worker says so: each remembers what it was told for two seconds."""
    wait_for(lambda: all(readyz(gateway).status_code == status for _ in range(12)), 15)


def metrics(gateway: Gateway) -> Samples:
    """What Prometheus reads."""
    return parsed(gateway.get("/metrics", headers={"Authorization": f"Bearer {KEYS['watcher']}"}).text)


def test_an_upstream_that_dies_and_comes_back_is_seen_everywhere(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    first, second = make_server(), make_server("tests.upstreams.sdk_server", "--modern-only")
    gateway = make_gateway(workers=2, config=configuration(first={"url": first.url}, second={"url": second.url}))
    wait_for(lambda: states(gateway) == {"first": "online", "second": "online"}, 30, gateway.output)
    settle_at(gateway, 200)
    assert readyz(gateway).json() == {"status": "healthy"}
    assert gateway.query("SELECT slug, detected_era FROM namespaces_upstream ORDER BY slug") == [
        ("first", "legacy"),
        ("second", "modern"),
    ]

    first.stop()
    died = time.monotonic()
    wait_for(lambda: states(gateway)["first"] == "offline", 10)
    assert time.monotonic() - died < 5
    settle_at(gateway, 207)
    assert readyz(gateway).json() == {"status": "degraded"}, "a stranger learns no name"
    told = readyz(gateway, "everywhere").json()
    assert told["upstreams"] == {
        "first": {"healthy": False, "health": "offline", "circuit_state": "closed"},
        "second": {"healthy": True, "health": "online", "circuit_state": "closed"},
    }
    assert list(readyz(gateway, "first-only").json()["upstreams"]) == ["first"]
    assert str(first.port) not in str(told) and "127.0.0.1" not in str(told)
    assert gateway.get("/ready").status_code == 200, "the gateway itself serves"
    assert gateway.get("/health").json()["status"] == "healthy"

    wait_for(lambda: metrics(gateway).sum("mcp_gateway_server_reconnect_attempt", server="first") >= 2, 20)
    found = metrics(gateway)
    assert found.sum("mcp_gateway_server_up", server="first") == 0
    assert found.sum("mcp_gateway_server_up", server="second") == 1
    assert found.sum("mcp_gateway_server_status", server="first", status="offline") == 1
    assert found.sum("mcp_gateway_server_status", server="first") == 1
    assert 0 < found.sum("mcp_gateway_server_ping_ms", server="second") < 5000
    assert found.sum("mcp_gateway_server_reconnects_total", server="first") == 0

    first.start()
    back = time.monotonic()
    wait_for(lambda: states(gateway)["first"] == "online", 10)
    assert time.monotonic() - back < 5
    settle_at(gateway, 200)
    found = metrics(gateway)
    assert found.sum("mcp_gateway_server_reconnects_total", server="first") == 1
    assert found.sum("mcp_gateway_server_reconnect_attempt", server="first") == 0
    assert history(gateway, "first") == [("online", ""), ("offline", "connection_refused"), ("online", "")]
    assert history(gateway, "second") == [("online", "")]


def test_an_upstream_that_hangs_delays_the_checks_of_no_other(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    first, second = make_server(), make_server()
    first.hang()
    gateway = make_gateway(config=configuration(first={"url": first.url}, second={"url": second.url}))
    wait_for(lambda: states(gateway)["second"] == "online", 30, gateway.output)
    checks = (
        "SELECT sum(checks) FROM namespaces_healthspan s JOIN namespaces_upstream u ON u.id = s.upstream_id"
        " WHERE slug = 'second'"
    )
    before, begun = gateway.query(checks)[0][0], time.monotonic()
    wait_for(lambda: gateway.query(checks)[0][0] >= before + 5, 15)
    assert time.monotonic() - begun < 12
    wait_for(lambda: states(gateway)["first"] == "offline", 40)


def test_each_upstream_has_its_own_interval_and_a_changed_one_is_checked_at_once(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    first, second = make_server(), make_server()
    config = configuration(first={"url": first.url}, second={"url": second.url, "health_interval": 3600})
    gateway = make_gateway(config=config)
    wait_for(lambda: states(gateway) == {"first": "online", "second": "online"}, 30, gateway.output)
    second.stop()
    time.sleep(4)
    assert states(gateway)["second"] == "online", "it is looked at once an hour"
    config["upstreams"]["second"]["description"] = "changed"
    gateway.import_config(config)
    wait_for(lambda: states(gateway)["second"] == "offline", 10)


def test_short_checks_ask_for_no_lists(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    both = {"first": make_server("tests.upstreams.sdk_server", "--legacy-only")}
    both["second"] = make_server("tests.upstreams.sdk_server", "--modern-only")
    config = configuration(**{name: {"url": server.url} for name, server in both.items()})
    gateway = make_gateway(config=config)
    wait_for(lambda: states(gateway) == {"first": "online", "second": "online"}, 30, gateway.output)
    tools = gateway.query("SELECT tool_count FROM namespaces_upstreamstatus")
    for server in both.values():
        httpx.delete(f"http://127.0.0.1:{server.port}/_seen")
    begun = time.monotonic()
    time.sleep(4)
    asked = {
        name: [
            request["rpc_method"]
            for request in httpx.get(f"http://127.0.0.1:{server.port}/_seen").json()["requests"]
            if request["rpc_method"]
        ]
        for name, server in both.items()
    }
    # It may have learnt the modern era meanwhile, so it is asked.
    assert set(asked["first"]) == {"server/discover", "initialize", "notifications/initialized", "ping"}
    assert set(asked["second"]) == {"server/discover"}
    assert 2 <= len(asked["second"]) <= time.monotonic() - begun + 3
    assert gateway.query("SELECT tool_count FROM namespaces_upstreamstatus") == tools


def test_failing_calls_make_an_upstream_degraded_until_they_stop(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    first = make_server("tests.upstreams.echo_fast")
    timeouts = {"timeouts": {"first_byte": "0.3s"}}
    gateway = make_gateway(config=configuration(first={"url": first.url} | timeouts))
    wait_for(lambda: states(gateway)["first"] == "online", 30, gateway.output)
    for _ in range(4):
        assert post(gateway, "first", tool("hang"), KEYS["everywhere"]) == 504
    for _ in range(4):
        assert post(gateway, "first", tool("echo"), KEYS["everywhere"]) == 200
    wait_for(lambda: states(gateway)["first"] == "degraded", 40)
    assert history(gateway, "first")[-1] == ("degraded", "first_byte_timeout")
    (message,) = gateway.query("SELECT message FROM namespaces_healthspan WHERE health = 'degraded'")[0]
    assert message == "It answers checks, but 4 of the last 8 calls failed there."
    assert readyz(gateway, "everywhere").status_code == 207
    for _ in range(40):
        assert post(gateway, "first", tool("echo"), KEYS["everywhere"]) == 200
    wait_for(lambda: states(gateway)["first"] == "online", 60)


def test_the_rest_api_counts_the_callers_upstreams_b1(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    first = make_server()
    config = configuration(
        first={"url": first.url},
        gone={"url": "http://127.0.0.1:10/mcp"},
        disabled={"url": "http://127.0.0.1:10/mcp", "enabled": False},
    )
    gateway = make_gateway(config=config)
    wait_for(lambda: (found := states(gateway))["first"] == "online" and found["gone"] == "offline", 30)

    def ask(user: str | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEYS[user]}"} if user else {}
        return gateway.get("/api/v1/health", headers=headers)

    assert ask(None).status_code == 401
    own = ask("first-only")
    assert own.status_code == 200 and own.json()["status"] == "ok"
    assert own.json()["servers"] == {
        "total": 1,
        "online": 1,
        "offline": 0,
        "degraded": 0,
        "reconnecting": 0,
        "unknown": 0,
        "totalTools": 5,
    }
    assert isinstance(own.json()["version"], str) and own.json()["uptime"] >= 0
    everything = ask("watcher")
    assert everything.status_code == 207 and everything.json()["status"] == "degraded"
    assert (everything.json()["servers"]["total"], everything.json()["servers"]["offline"]) == (2, 1)
    first.stop()
    wait_for(lambda: ask("first-only").json()["servers"]["reconnecting"] == 1, 10)
    assert ask("first-only").status_code == 207
    wait_for(lambda: ask("first-only").json()["servers"]["offline"] == 1, 10)


def test_a_wrong_key_at_readyz_is_refused_and_health_outlives_the_database(
    make_gateway: Callable[..., Gateway], make_server: Callable[..., Server]
) -> None:
    gateway = make_gateway(config=configuration(first={"url": make_server().url}))
    wait_for(lambda: states(gateway)["first"] == "online", 30)
    answer = gateway.get("/readyz", headers={"X-API-Key": "garbage"})
    assert answer.status_code == 401 and answer.json()["error"]["reason"] == "credential_unknown"
    assert gateway.get("/readyz", headers={"X-API-Key": KEYS["first-only"]}).json()["gateway_id"]
