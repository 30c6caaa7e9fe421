"""Paths and verbs (cases N1 to N7): the exact path or nothing."""

from __future__ import annotations

import json

import pytest

from tests.proxy.plane import KEYS, Caller, expect_refused, tool_call
from tests.proxy.wire import Answer, play, request

BODY = json.dumps(tool_call()).encode()
HEADERS = [("Authorization", f"Bearer {KEYS['alice']}"), ("Content-Type", "application/json"), ("Connection", "close")]


def _ask(caller: Caller, target: str, method: str = "POST") -> list[Answer]:
    before = caller.count()["calls"]
    answers = play(caller.port, request(target, BODY, HEADERS, method=method))
    assert caller.count()["calls"] == before, "a call reached the upstream"
    return answers


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "",
        "/",
        "Echo",
        "ECHO",
        "echo%20",
        "echo.",
        "echo/",
        "/echo",
        "echo/echo",
        "disabled",
        "-echo",
        "echo-",
        "_",
        "e" * 65,
    ]
    + ["__proto__", "echo.json", "echo,open", "*", "echo+"],
)
def test_n1_a_namespace_that_is_none(caller: Caller, name: str) -> None:
    (answer,) = _ask(caller, f"/mcp/{name}")
    expect_refused(answer, [404], [-32600])
    assert answer.reason == "namespace_unknown"


@pytest.mark.parametrize("target", ["/mcp", "/mcp/", "/mcp?x=1"])
def test_n1_no_namespace(caller: Caller, target: str) -> None:
    (answer,) = _ask(caller, target)
    expect_refused(answer, [404], [-32600])


@pytest.mark.parametrize(
    "target",
    [
        "/mcp%2fecho",
        "/mcp/%65cho",
        "/mcp/ech%6F",
        "/mcp/%2e%2e/echo",
        "/mcp/../mcp/echo",
        "/mcp/./echo",
        "/mcp/%252e/echo",
    ]
    + ["/mcp/echo;x=1", "/mcp;x/echo", "//mcp/echo", "/mcp//echo", "/mcp/echo%00", "/mcp/echo%ff", "/mcp/echo%c0%af"]
    + [
        "/mcp/echo%0d%0aX-Injected:%20yes",
        "/mcp/echo\\",
        "/mcp\\echo",
        "/mcp/echo%5c",
        "/mcp/echo%20",
        "/mcp/echo%3fx",
        "/MCP/echo",
    ]
    + ["/mcp/echo#x", "/./mcp/echo", "/x/../mcp/echo"],
)
def test_n2_spellings_of_a_path(caller: Caller, target: str) -> None:
    for answer in _ask(caller, target):
        assert answer.status in (400, 403, 404), (answer.status, answer.headers)
        assert answer.header("x-injected") is None and answer.header("location") is None


def test_n2_raw_bytes_in_a_path(caller: Caller) -> None:
    before = caller.count()["calls"]
    data = request("/mcp/echo", BODY, HEADERS).replace(b"/mcp/echo", b"/mcp/echo\xff", 1)
    assert {answer.status for answer in play(caller.port, data)} <= {400, 404}
    assert caller.count()["calls"] == before


@pytest.mark.parametrize(
    "target",
    [
        "/mcp/" + "e" * 16_384,
        "/mcp/echo?" + "q" * 65_536,
        "/mcp/echo?" + "&".join(f"f{number}=1" for number in range(5000)),
    ],
)
def test_n3_long_targets(caller: Caller, target: str) -> None:
    assert {answer.status for answer in _ask(caller, target)} <= {400, 404, 414, 431}


def test_n3_more_query_fields_than_any_client_sends(caller: Caller) -> None:
    (answer,) = _ask(caller, "/mcp/echo?" + "&".join(f"f{number}=1" for number in range(500)))
    expect_refused(answer, [400], [-32600])
    assert answer.reason == "query_invalid"


@pytest.mark.parametrize(
    ("target", "method"), [("http://evil.example/mcp/echo", "POST"), ("evil.example:443", "CONNECT"), ("*", "OPTIONS")]
)
def test_n4_targets_that_are_no_path(caller: Caller, target: str, method: str) -> None:
    assert {answer.status for answer in _ask(caller, target, method)} <= {400, 404, 405, 421}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "HEAD", "BREW", "post", "PROPFIND", "POST\t", "PO"])
def test_n5_other_verbs(caller: Caller, method: str) -> None:
    before = caller.count()["calls"]
    data = request("/mcp/echo", b"", HEADERS, method=method)
    head_only = method == "HEAD"
    if head_only:
        answer = caller.send("/mcp/echo", method="HEAD")
        assert answer.status == 405
    else:
        answers = play(caller.port, data)
        assert {answer.status for answer in answers} <= {400, 405, 501}
        for answer in answers:
            assert answer.status != 405 or answer.header("allow") == "GET, POST, DELETE, OPTIONS"
    assert caller.count()["calls"] == before


def test_n5_verbs_of_sessions_on_an_upstream_without_them(caller: Caller) -> None:
    for method in ("GET", "DELETE"):
        answer = caller.send("/mcp/echo", headers={"Accept": "text/event-stream"}, method=method)
        assert answer.status == 405 and answer.header("allow") == "POST"


def test_n5_the_modern_era_has_post_only(caller: Caller) -> None:
    for method in ("GET", "DELETE"):
        headers = {"Accept": "text/event-stream", "MCP-Protocol-Version": "2026-07-28"}
        answer = caller.send("/mcp/open", headers=headers, method=method)
        expect_refused(answer, [405], [-32600])
        assert answer.header("allow") == "POST"


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_n6_a_strangers_preflight_gets_no_permission(caller: Caller, origin: str | None) -> None:
    headers = {"Access-Control-Request-Method": "POST"} | ({"Origin": origin} if origin else {})
    answer = caller.send("/mcp/echo", headers=headers, method="OPTIONS", key=None)
    assert answer.status in (204, 403) and answer.header("access-control-allow-origin") is None


@pytest.mark.parametrize(
    "target", ["/mcp/../admin/", "/mcp/%2e%2e/admin/", "/mcp/..%2fadmin/", "/mcp/echo/../../admin/"]
)
def test_n7_no_way_from_mcp_to_the_admin(caller: Caller, target: str) -> None:
    for answer in _ask(caller, target, "GET"):
        assert answer.status in (400, 404) and b"csrf" not in answer.body.lower()
