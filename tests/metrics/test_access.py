"""M18: who may read the metrics, and in which format."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from keys import secrets
from tests.gateway import Gateway, wait_for
from tests.metrics.conftest import KEYS, configuration, parsed, post, tool
from tests.reliability.external_postgres import ExternalPostgres

PATHS = ("/metrics", "/api/v1/metrics?format=prometheus")


def ask(gateway: Gateway, path: str = "/metrics", key: str | None = None, **headers: str) -> httpx.Response:
    """GET with or without a key."""
    bearer = {"Authorization": f"Bearer {key}"} if key else {}
    return gateway.get(path, headers=bearer | {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("path", PATHS)
def test_strangers_are_told_nothing(counted: Gateway, path: str) -> None:
    for key in (None, "garbage", secrets.generate()):
        answer = ask(counted, path, key)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "mcp_gateway" not in answer.text.replace('"mcp-gateway"', "")


@pytest.mark.parametrize("path", PATHS)
def test_a_key_that_sees_its_own_calls_only_is_refused(counted: Gateway, path: str) -> None:
    answer = ask(counted, path, KEYS["alice"])
    assert answer.status_code == 403 and answer.json()["error"]["reason"] == "forbidden"


@pytest.mark.parametrize("path", PATHS)
def test_a_key_that_sees_everything_reads_them(counted: Gateway, path: str) -> None:
    answer = ask(counted, path, KEYS["watcher"])
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["Cache-Control"].endswith("no-store")
    names = {family.name for family in plain_text(answer.text)}
    assert {"mcp_gateway_requests", "mcp_gateway_tools_called"} <= names
    assert ask(counted, path, KEYS["watcher"], accept="text/plain").status_code == 200


def test_the_rest_api_gives_prometheus_text_when_that_is_accepted(counted: Gateway) -> None:
    answer = ask(counted, "/api/v1/metrics", KEYS["watcher"], accept="text/plain")
    assert answer.status_code == 200 and "mcp_gateway_requests_total" in answer.text
    assert ask(counted, "/api/v1/metrics", KEYS["watcher"], accept="application/json").json()["totalRequests"] >= 0
    assert ask(counted, "/api/v1/metrics", KEYS["watcher"]).headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/metrics"])
def test_openmetrics_is_valid_for_prometheus_own_parser(counted: Gateway, path: str) -> None:
    post(counted, "open", tool("echo"))
    answer = ask(counted, path, KEYS["watcher"], accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in openmetrics(answer.text)}
    assert families["mcp_gateway_requests"].type == "counter"
    assert {sample.name for sample in families["mcp_gateway_tools_called"].samples} == {"mcp_gateway_tools_called"}
    assert families["mcp_gateway"].type == "info"


def test_every_published_name_and_label_is_there_with_its_type(counted: Gateway) -> None:
    post(counted, "dead", tool("echo"))
    post(counted, "open", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    post(counted, "open", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, KEYS["limited"])
    text = ask(counted, key=KEYS["watcher"]).text
    types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
    labels: dict[str, set[str]] = {}
    for name, carried in parsed(text):
        labels.setdefault(name, set()).update(label for label, _ in carried)
    published = {
        "mcp_gateway_info": ("gauge", "version environment gateway_id"),
        "mcp_gateway_requests_total": ("counter", "method path status auth_type upstream"),
        "mcp_gateway_request_duration_seconds": ("histogram", "method path upstream"),
        "mcp_gateway_active_connections": ("gauge", ""),
        "mcp_gateway_active_agent_sessions": ("gauge", ""),
        "mcp_gateway_circuit_breaker_state": ("gauge", "upstream"),
        "mcp_gateway_upstream_errors_total": ("counter", "upstream error_type"),
        "mcp_gateway_rate_limit_rejections_total": ("counter", "identity tier"),
        "mcp_gateway_mcp_methods_total": ("counter", "method upstream"),
        "mcp_gateway_tools_called": ("counter", "tool proxy"),
        "mcp_gateway_tools_call_errors": ("counter", "tool proxy"),
        "mcp_gateway_tools_call_success": ("counter", "tool proxy"),
        "mcp_gateway_list_tools": ("counter", "proxy"),
        "mcp_gateway_errors_total": ("counter", ""),
        "mcp_gateway_server_requests_total": ("counter", "server"),
        "mcp_gateway_server_errors_total": ("counter", "server"),
        "mcp_gateway_server_duration_ms": ("summary", "server"),
        "mcp_gateway_success_rate": ("gauge", ""),
        "mcp_gateway_latency_avg_ms": ("gauge", ""),
        "mcp_gateway_latency_p95_ms": ("gauge", ""),
        "mcp_gateway_latency_p99_ms": ("gauge", ""),
    }
    post(counted, "open", tool("echo"))
    for name, (kind, expected) in published.items():
        assert types[name] == kind, name
        sample = {"histogram": f"{name}_count", "summary": f"{name}_sum"}.get(kind, name)
        assert sample in labels or not expected, name
        assert labels.get(sample, set()) == set(expected.split()), name
    bounds = {
        bound for (name, carried) in parsed(text) if name.endswith("_bucket") for key, bound in carried if key == "le"
    }
    assert bounds == set("0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 +Inf".split())


def test_other_verbs_and_keys_in_the_url_are_refused(counted: Gateway) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert httpx.request(method, f"{counted.base}/metrics").status_code == 405
    assert counted.get(f"/metrics?api_key={KEYS['watcher']}").status_code == 400
    head = httpx.head(f"{counted.base}/metrics", headers={"Authorization": f"Bearer {KEYS['watcher']}"})
    assert head.status_code == 200 and not head.content and int(head.headers["Content-Length"]) > 1000


def test_networks_of_the_setting_need_no_key(make_gateway: Callable[..., Gateway], light: str) -> None:
    env = {"GATEWAY_METRICS": "127.0.0.0/8, ::ffff:10.1.0.0/112"}
    gateway = make_gateway(config=configuration(light), env=env)
    assert ask(gateway).status_code == 200
    assert ask(gateway, key="garbage").status_code == 401, "a wrong key is not forgiven"
    assert ask(gateway, key=KEYS["alice"]).status_code == 403
    # A proxy that is not named as one: everybody behind it would be let in.
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        assert ask(gateway, **{header: "127.0.0.1"}).status_code == 401
    # A page in somebody's browser whose name was made to lead here.
    assert ask(gateway, host="rebound.example").status_code == 421
    assert ask(gateway, host="127.0.0.9").status_code == 200
    assert ask(gateway, "/api/v1/metrics?format=prometheus").status_code == 401


def test_behind_a_trusted_proxy_the_clients_own_address_counts(
    make_gateway: Callable[..., Gateway], light: str
) -> None:
    env = {"GATEWAY_METRICS": "192.0.2.0/24", "GATEWAY_TRUSTED_PROXIES": "127.0.0.1"}
    gateway = make_gateway(config=configuration(light), env=env)
    assert ask(gateway, X_Forwarded_For="192.0.2.7").status_code == 200
    assert ask(gateway, X_Forwarded_For="192.0.2.7, 198.51.100.1").status_code == 401
    assert ask(gateway, X_Forwarded_For="198.51.100.1").status_code == 401
    assert ask(gateway).status_code == 401


def test_switched_off_they_are_not_there(make_gateway: Callable[..., Gateway], light: str) -> None:
    config: dict[str, Any] = configuration(light) | {"monitor": {"prometheus": False}}
    gateway = make_gateway(config=config)
    for path in PATHS:
        assert ask(gateway, path, KEYS["watcher"]).status_code == 404
    assert ask(gateway, "/api/v1/metrics", KEYS["watcher"]).status_code == 200


def test_they_answer_while_the_database_is_away(make_gateway: Callable[..., Gateway], light: str) -> None:
    external = ExternalPostgres().start().create_database()
    try:
        gateway = make_gateway(config=configuration(light), database_url=external.url)
        post(gateway, "open", tool("echo"))
        external.crash()
        begun = time.monotonic()
        samples = parsed(ask(gateway, key=KEYS["watcher"]).text)
        assert time.monotonic() - begun < 5
        assert samples.sum("mcp_gateway_database_up") == 0 and samples.sum("mcp_gateway_requests_total") == 1
        assert not [name for name, _ in samples if "rollup" in name or "latency" in name]
        external.start()
        wait_for(lambda: parsed(ask(gateway, key=KEYS["watcher"]).text).sum("mcp_gateway_database_up") == 1, 30)
    finally:
        external.close()
