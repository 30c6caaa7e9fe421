"""IP allow lists of keys and namespaces, through a trusted proxy that says who calls (P28)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from keys import secrets
from tests.conftest import Gateways
from tests.gateway import Gateway, wait_for
from tests.upstreams.listening import started

KEYS = {name: secrets.generate() for name in ("anywhere", "office", "nowhere")}
OFFICE = "192.0.2.0/24"
NEAR, FAR = "192.0.2.7", "198.51.100.7"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ADDRESSES: dict[str, dict[str, Any]] = {
    "anywhere": {"mode": "all", "listed": []},
    "office": {"listed": [OFFICE, "2001:db8:1::/48", "203.0.113.9"]},
    "nowhere": {"mode": "listed"},
}


def configuration(url: str, addresses: dict[str, dict[str, Any]] = ADDRESSES) -> dict[str, Any]:
    """Publish a server openly, to the office alone, and to nobody; a key of each kind."""
    return {
        "upstreams": {"echo": {"url": url}},
        "namespaces": {name: {"upstream": "echo", "addresses": allowed} for name, allowed in addresses.items()},
        "keys": [
            {"key": KEYS[name], "user_id": name, "all_namespaces": True, "sees": "all", "addresses": allowed}
            for name, allowed in addresses.items()
        ],
    }


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with started("tests.upstreams.echo_fast") as url:
        yield url


@pytest.fixture(scope="module")
def listed(request: pytest.FixtureRequest, url: str) -> Iterator[Gateway]:
    """A gateway with two workers behind a proxy on the loopback interface."""
    env = {"GATEWAY_TRUSTED_PROXIES": "127.0.0.1", "GATEWAY_PROBE_INTERVAL_S": "0"}
    with Gateways(request) as start:
        yield start(workers=2, config=configuration(url), env=env)


def call(gateway: Gateway, namespace: str, key: str | None, address: str) -> httpx.Response:
    """Ping, as a client at `address`."""
    headers = {"X-Forwarded-For": address} | ({"Authorization": f"Bearer {key}"} if key else {})
    return httpx.post(gateway.url(namespace), json=PING, headers=headers, timeout=30)


def without_ids(answer: httpx.Response) -> tuple[int, Any, str | None]:
    """What tells two refusals apart."""
    body = answer.json()
    body["error"]["data"].pop("requestId")
    return answer.status_code, body, answer.headers.get("www-authenticate")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (NEAR, 200),
        ("192.0.2.255", 200),
        ("203.0.113.9", 200),
        ("2001:db8:1:2::3", 200),
        ("::ffff:192.0.2.7", 200),
        (f"{FAR}, {NEAR}", 200),
        (FAR, 401),
        (f"{NEAR}, {FAR}", 401),
        ("192.0.3.1", 401),
        ("2001:db8:2::1", 401),
        ("::ffff:198.51.100.7", 401),
        ("::192.0.2.7", 401),
        ("unknown", 401),
        ("192.0.2.7 <script>", 401),
    ],
)
def test_a_key_works_in_its_networks_only(listed: Gateway, address: str, status: int) -> None:
    assert call(listed, "anywhere", KEYS["office"], address).status_code == status


def test_without_a_word_of_the_proxy_the_proxy_itself_is_the_caller(listed: Gateway) -> None:
    headers = {"Authorization": f"Bearer {KEYS['office']}", "Forwarded": f"for={NEAR}", "X-Real-IP": NEAR}
    assert httpx.post(listed.url("anywhere"), json=PING, headers=headers).status_code == 401
    assert httpx.post(listed.url("anywhere"), json=PING, headers=headers | {"X-Forwarded-For": NEAR}).status_code == 200


def test_a_key_in_the_wrong_place_answers_like_one_that_is_not_known(listed: Gateway) -> None:
    unknown = call(listed, "anywhere", secrets.generate(), FAR)
    for key in ("office", "nowhere"):
        assert without_ids(call(listed, "anywhere", KEYS[key], FAR)) == without_ids(unknown)
    assert without_ids(call(listed, "no-such", KEYS["office"], FAR)) == without_ids(unknown)


def test_a_namespace_in_the_wrong_place_answers_like_one_that_is_not_there(listed: Gateway) -> None:
    assert call(listed, "office", KEYS["anywhere"], NEAR).status_code == 200
    missing = call(listed, "no-such", KEYS["anywhere"], FAR)
    assert missing.status_code == 404
    for namespace in ("office", "nowhere"):
        assert without_ids(call(listed, namespace, KEYS["anywhere"], FAR)) == without_ids(missing)
    assert call(listed, "nowhere", KEYS["anywhere"], NEAR).status_code == 404, "an empty list lets nobody in"


def test_the_record_tells_what_the_answer_does_not(listed: Gateway) -> None:
    first = call(listed, "anywhere", KEYS["office"], FAR).headers["x-request-id"]
    second = call(listed, "office", KEYS["anywhere"], FAR).headers["x-request-id"]

    def rows() -> list[tuple[Any, ...]]:
        return listed.query(
            "SELECT user_id, namespace, outcome, reason, client_address FROM analytics_requestlog"
            " WHERE request_id = ANY(%s) ORDER BY user_id DESC",
            [first, second],
        )

    wait_for(lambda: len(rows()) == 2, 15)
    assert rows() == [
        ("office", None, "unauthenticated", "address_denied", FAR),
        ("anywhere", "office", "denied", "address_denied", FAR),
    ]


@pytest.mark.parametrize("path", ["/analytics/summary", "/namespaces", "/api/v1/metrics", "/metrics", "/readyz"])
def test_the_list_of_a_key_holds_wherever_keys_do(listed: Gateway, path: str) -> None:
    def ask(key: str, address: str) -> httpx.Response:
        return listed.get(path, headers={"X-API-Key": key, "X-Forwarded-For": address})

    assert ask(KEYS["office"], NEAR).status_code in (200, 207)
    refused, unknown = ask(KEYS["office"], FAR), ask(secrets.generate(), FAR)
    assert refused.status_code == unknown.status_code == 401
    assert refused.json() == unknown.json()


def test_a_changed_list_is_in_force_at_the_next_request_in_every_worker(
    make_gateway: Callable[..., Gateway], url: str
) -> None:
    env = {"GATEWAY_TRUSTED_PROXIES": "127.0.0.1", "GATEWAY_PROBE_INTERVAL_S": "0"}
    gateway = make_gateway(workers=2, config=configuration(url), env=env)

    def answers(status: int) -> bool:
        return {call(gateway, "anywhere", KEYS["office"], FAR).status_code for _ in range(12)} == {status}

    assert answers(401)
    gateway.import_config(configuration(url, ADDRESSES | {"office": {"listed": [f"{FAR}/32"]}}))
    wait_for(lambda: answers(200), 3)
    assert call(gateway, "anywhere", KEYS["office"], NEAR).status_code == 401
    gateway.query("UPDATE keys_apikey SET addresses_listed = '{not a network}' WHERE user_id = 'office'")
    wait_for(lambda: answers(401), 3)
    gateway.query("UPDATE keys_apikey SET addresses_mode = 'all' WHERE user_id = 'office'")
    wait_for(lambda: answers(200), 3)
