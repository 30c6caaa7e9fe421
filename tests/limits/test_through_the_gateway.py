"""What clients see of limits: who is counted where, which limit decides, and what is said of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.gateway import Gateway, wait_for
from tests.limits.conftest import KEYS, ask, configuration, refusal

HOUR = {"window": 3600, "algorithm": "sliding_window"}


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., Gateway], light: str) -> Gateway:
    """A gateway without any limit; each test imports those that it is about."""
    return start_gateway(workers=2, config=configuration(light, {}))


INSERT = """
INSERT INTO keys_ratelimit (slug, namespace_id, tools, user_id, counted, requests, window_s, burst, algorithm, enabled,
    key_id, description, created_at, updated_at)
VALUES (%s, (SELECT id FROM namespaces_namespace WHERE slug = %s), %s, %s, %s, %s, %s, %s, %s, %s, %s, '', now(), now())
"""
DEFAULTS = {
    "namespace": None, "tools": [], "user_id": "", "counted": "together", "requests": None, "window": 60, "burst": None,
    "algorithm": "", "enabled": True, "key_id": None,
}  # fmt: skip
Put = Callable[[dict[str, Any]], None]


@pytest.fixture
def limit(gateway: Gateway) -> Iterator[Put]:
    """Yield a function that puts these limits in force, and no others, by plain SQL; none is left afterwards."""

    def put(limits: dict[str, Any]) -> None:
        gateway.query("DELETE FROM keys_ratelimit")
        for slug, columns in limits.items():
            assert columns.keys() <= DEFAULTS.keys()
            gateway.query(INSERT, slug, *(DEFAULTS | columns).values())
        time.sleep(0.4)  # until every worker has read it, on a machine that is busy

    yield put
    gateway.query("DELETE FROM keys_ratelimit")


def test_each_user_has_its_own_over_all_its_keys(gateway: Gateway, limit: Put) -> None:
    limit({"users": {"counted": "each_user", "requests": 3} | HOUR})
    assert [ask(gateway, key=key).status_code for key in ("alice", "alice-too", "alice", "bob")] == [200] * 4
    refused = ask(gateway, key="alice-too")
    data = refusal(refused)
    assert data["reason"] == "rate_limited_user"
    assert data["limit"] == {
        "kind": "user", "scope": "alice", "requests": 3, "windowSeconds": 3600, "algorithm": "sliding_window",
    }  # fmt: skip
    assert data["requestId"] == refused.headers["x-request-id"]
    assert 3_590_000 < data["retryAfterMs"] <= 3_600_001
    assert 3590 < int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["x-ratelimit-limit"] == "3" and refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["x-ratelimit-policy"] == "3;w=3600"
    assert refused.json()["error"]["code"] == -31429


def test_a_user_that_is_named(gateway: Gateway, limit: Put) -> None:
    limit({"bob": {"user_id": "bob", "requests": 1} | HOUR})
    assert ask(gateway, key="bob").status_code == 200
    assert refusal(ask(gateway, "files", key="bob"))["limit"]["scope"] == "bob"
    assert "x-ratelimit-limit" not in ask(gateway, key="alice").headers


def test_each_key(gateway: Gateway, limit: Put) -> None:
    limit({"keys": {"counted": "each_key", "requests": 1} | HOUR})
    assert [ask(gateway, key=key).status_code for key in ("alice", "alice-too", "alice", "bob")] == [200, 200, 429, 200]
    data = refusal(ask(gateway, key="alice-too"))
    assert data["reason"] == "rate_limited_key" and data["limit"]["scope"].startswith("alice #")


def test_a_namespace_and_each_namespace(gateway: Gateway, limit: Put) -> None:
    limit(
        {
            "docs": {"namespace": "docs", "requests": 2} | HOUR,
            "all": {"counted": "each_namespace", "requests": 3} | HOUR,
        }
    )
    assert [ask(gateway, "docs", key).status_code for key in ("alice", "bob", "carol")] == [200, 200, 429]
    assert refusal(ask(gateway, "docs"))["limit"] | {"kind": "namespace", "scope": "docs", "requests": 2}
    assert [ask(gateway, "files", key).status_code for key in ("alice", "bob", "carol", "dave")] == [200, 200, 200, 429]
    assert refusal(ask(gateway, "files"))["limit"] | {"kind": "namespace", "scope": "files", "requests": 3}


def test_each_key_in_a_namespace(gateway: Gateway, limit: Put) -> None:
    limit({"docs": {"namespace": "docs", "counted": "each_key", "requests": 1} | HOUR})
    assert [ask(gateway, key=key).status_code for key in ("alice", "bob", "alice")] == [200, 200, 429]
    assert refusal(ask(gateway))["reason"] == "rate_limited_grant"
    assert ask(gateway, "files").status_code == 200


def test_tools_by_pattern_count_together_and_nothing_else_does(gateway: Gateway, limit: Put) -> None:
    limit({"slow": {"namespace": "docs", "tools": ["e*", "add"], "requests": 2} | HOUR})
    assert [ask(gateway, tool=tool).status_code for tool in ("echo", "add", "echo", "add")] == [200, 200, 429, 429]
    data = refusal(ask(gateway))
    assert (data["reason"], data["limit"]["scope"]) == ("rate_limited_tool", "docs")  # never the pattern
    assert ask(gateway, tool=None).status_code == 200
    assert ask(gateway, tool="other").status_code == 200
    assert ask(gateway, "files").status_code == 200


def test_one_tool_for_each_user(gateway: Gateway, limit: Put) -> None:
    limit({"add": {"tools": ["add"], "counted": "each_user", "requests": 1} | HOUR})
    assert [ask(gateway, tool="add", key=key).status_code for key in ("alice", "bob", "alice-too")] == [200, 200, 429]
    assert refusal(ask(gateway, "files", tool="add"))["limit"]["scope"] == "files/add"


def test_the_gateway_as_a_whole(gateway: Gateway, limit: Put) -> None:
    limit({"all": {"requests": 3} | HOUR})
    found = [
        ask(gateway, *place).status_code
        for place in (("docs", "alice"), ("files", "bob"), ("docs", "carol"), ("files", "dave"))
    ]
    assert found == [200, 200, 200, 429]
    data = refusal(ask(gateway))
    assert (data["reason"], data["limit"]["scope"]) == ("rate_limited_global", "gateway")


def test_a_limit_of_one_key_leaves_the_users_other_key_alone(gateway: Gateway, limit: Put) -> None:
    beginning = KEYS["alice"][:12]
    ((number,),) = gateway.query("SELECT key_id FROM keys_keysecret WHERE prefix LIKE %s", f"{beginning}%")
    limit({"one": {"key_id": number, "requests": 2} | HOUR})
    assert [ask(gateway).status_code for _ in range(3)] == [200, 200, 429]
    told = refusal(ask(gateway, "files"))
    assert (told["reason"], told["limit"]["kind"]) == ("rate_limited_key", "key")
    assert "x-ratelimit-limit" not in ask(gateway, key="alice-too").headers


def test_the_tightest_decides_and_a_refused_call_uses_up_no_other(gateway: Gateway, limit: Put) -> None:
    limit({"all": {"requests": 6} | HOUR, "add": {"tools": ["add"], "requests": 2} | HOUR})
    answers = [ask(gateway, tool="add") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200, 200] + [429] * 5
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers[:2]] == ["1", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2"}
    # Five refused calls later the other limit has four left, and is now the tightest.
    others = [ask(gateway) for _ in range(5)]
    assert [answer.headers["x-ratelimit-remaining"] for answer in others] == ["3", "2", "1", "0", "0"]
    assert refusal(others[-1])["reason"] == "rate_limited_global"


def test_blank_is_no_limit_and_0_lets_nothing_pass(gateway: Gateway, limit: Put) -> None:
    limit({"none": {"requests": None}})
    assert "x-ratelimit-limit" not in ask(gateway).headers
    limit({"none": {"namespace": "docs", "requests": 0}})
    assert "0" in ask(gateway).json()["error"]["message"]
    assert refusal(ask(gateway))["reason"] == "rate_limited_namespace"
    assert ask(gateway, "files").status_code == 200
    limit({"none": {"namespace": "docs", "requests": 0, "enabled": False}})
    assert ask(gateway).status_code == 200


def test_keys_and_grants_choose_their_algorithm(gateway: Gateway, light: str) -> None:
    window = {"requests_per_minute": 2, "algorithm": "sliding_window"}
    granted = {"all_namespaces": False, "grants": {"docs": {"requests_per_minute": 1, "algorithm": "sliding_window"}}}
    bucket = {"requests_per_minute": 60, "burst": 2}
    gateway.import_config(configuration(light, {}, alice=window, bob=granted, carol=bucket))
    time.sleep(0.4)
    assert [ask(gateway).status_code for _ in range(3)] == [200, 200, 429]
    assert refusal(ask(gateway))["limit"]["algorithm"] == "sliding_window"
    assert [ask(gateway, key="bob").status_code for _ in range(2)] == [200, 429]
    assert refusal(ask(gateway, key="bob"))["reason"] == "rate_limited_grant"
    assert [ask(gateway, key="carol").status_code for _ in range(2)] == [200, 200]
    assert refusal(ask(gateway, key="carol"))["limit"]["algorithm"] == "token_bucket"
    rest = {"requests_per_minute": None, "algorithm": ""}
    free = {"all_namespaces": True, "grants": {}}
    gateway.import_config(configuration(light, {}, alice=rest, bob=free, carol=rest))


def test_limits_reveal_no_name_that_rules_hide(gateway: Gateway, limit: Put) -> None:
    """A hidden tool with a limit, a hidden tool without one and one that does not exist answer alike, at any time."""
    limit({"add": {"tools": ["add"], "requests": 1} | HOUR, "all": {"requests": 2} | HOUR})
    for _ in range(2):
        answers = [ask(gateway, "listed", tool=tool) for tool in ("add", "stream", "slnothing")]
        for answer, tool in zip(answers, ("add", "stream", "slnothing"), strict=True):
            assert answer.json()["error"] == {"code": -32602, "message": f"Unknown tool: {tool}"}
            assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
        while ask(gateway).status_code == 200:  # … and again when the limits are used up
            pass
    assert ask(gateway, "nowhere").json()["error"]["data"]["reason"] == "namespace_unknown"


def test_what_an_admin_edits_is_in_force_at_the_next_request(gateway: Gateway, limit: Put) -> None:
    limit({"all": {"requests": 1} | HOUR})
    assert [ask(gateway).status_code for _ in range(2)] == [200, 429]
    gateway.query("UPDATE keys_ratelimit SET requests = 3")
    wait_for(lambda: ask(gateway).status_code == 200, 2, "the limit that was raised is not in force")
    gateway.query("UPDATE keys_ratelimit SET enabled = false")
    wait_for(lambda: "x-ratelimit-limit" not in ask(gateway).headers, 2, "the limit that was taken away still holds")
    assert all("x-ratelimit-limit" not in ask(gateway, key=key).headers for key in KEYS)


def test_streams_and_notifications_count_and_errors_carry_the_headers(gateway: Gateway, limit: Put) -> None:
    limit({"all": {"requests": 3} | HOUR})
    headers = {"Authorization": f"Bearer {KEYS['alice']}"}
    stream = gateway.get("/mcp/docs", headers=headers | {"Accept": "text/event-stream"})
    assert stream.status_code == 405 and stream.headers["x-ratelimit-remaining"] == "2"  # this upstream has none
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    for status in (202, 202, 429):
        assert httpx.post(gateway.url("docs"), json=note, headers=headers).status_code == status
    answer = {"jsonrpc": "2.0", "id": 1, "result": {}}  # what a server asked for is no call
    assert httpx.post(gateway.url("docs"), json=answer, headers=headers).status_code != 429
    refused = gateway.get("/mcp/docs", headers=headers | {"Accept": "text/event-stream"})
    assert refused.status_code == 429 and refused.json()["error"]["data"]["limit"]["kind"] == "global"


def test_the_record_says_which_limit_it_was(gateway: Gateway, limit: Put) -> None:
    limit({"add": {"tools": ["add"], "requests": 0}})
    identifier = ask(gateway, tool="add").headers["x-request-id"]
    rows = "SELECT outcome, reason, http_status FROM analytics_requestlog WHERE request_id = %s"
    assert wait_for(lambda: gateway.query(rows, identifier), 10) == [("limited", "rate_limited_tool", 429)]
