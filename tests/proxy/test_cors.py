"""Foreign origins are refused (case H6), configured ones get the CORS headers that a browser needs (D.17)."""

from __future__ import annotations

import pytest

from tests.proxy.plane import KEYS, Caller, tool_call
from tests.proxy.wire import play, request


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "https://console.example.evil",
        "http://console.example",
        "file://",
        "",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
def test_h6_foreign_origins(caller: Caller, origin: str, method: str) -> None:
    before = caller.count()["calls"]
    answer = caller.send("/mcp/echo", b"{}" if method == "POST" else b"", {"Origin": origin}, method=method)
    assert answer.status == 403 and answer.reason == "origin_forbidden"
    assert answer.header("access-control-allow-origin") is None and caller.count()["calls"] == before


def test_cors_is_for_configured_origins_only(caller: Caller) -> None:
    own = f"http://127.0.0.1:{caller.port}"
    for origin, host in (("https://console.example", "127.0.0.1"), (own, f"127.0.0.1:{caller.port}")):
        pairs = [("Origin", origin), ("Authorization", f"Bearer {KEYS['alice']}"), ("Content-Type", "application/json")]
        (answer,) = play(
            caller.port, request("/mcp/echo", b'{"jsonrpc":"2.0","id":1,"method":"ping"}', pairs, host=host)
        )
        assert answer.status == 200 and answer.header("access-control-allow-origin") == origin
        assert "Mcp-Session-Id" in (answer.header("access-control-expose-headers") or "")
        assert answer.header("vary") == "Origin" and answer.header("access-control-allow-credentials") is None
    for status, options in ((401, {"key": None}), (404, {"key": "bob"})):
        refused = caller.post("open", tool_call(), {"Origin": "https://console.example"}, **options)  # type: ignore[arg-type]
        assert refused.status == status and refused.header("access-control-allow-origin") == "https://console.example"


def test_a_preflight_grants_what_means_something_here(caller: Caller) -> None:
    asked = "authorization, content-type, mcp-session-id, mcp-param-region, x-evil, cookie"
    headers = {
        "Origin": "https://console.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    answer = caller.send("/mcp/echo", headers=headers, method="OPTIONS", key=None)
    assert answer.status == 204 and answer.header("access-control-allow-origin") == "https://console.example"
    assert (
        answer.header("access-control-allow-headers") == "authorization, content-type, mcp-session-id, mcp-param-region"
    )
