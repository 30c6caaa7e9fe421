"""Default deny (P23): every route of Django and every path that the ASGI application knows, asked by a stranger."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tests.proxy.plane import KEYS, Caller, message
from tests.proxy.wire import Answer

# What anyone may read: health, the sign-in page and its files, and the word that there is no OAuth here.
PUBLIC = {"/health", "/live", "/ready", "/readyz"}
# Who cannot sign in must get to these: the sign-in pages, their way out, the texts of the admin's scripts, and the
# steps of a password reset, which show nothing of any account (the last one asks for a token from a mail).
SIGN_IN = {
    "/admin/login/",
    "/admin/jsi18n/",
    "/admin/logout/",
    "/accounts/login/",
    "/accounts/reset/",
    "/accounts/reset/sent/",
    "/accounts/reset/1/1/",
    "/accounts/reset/done/",
}
# The description of the REST API is for everybody (C.5): it names fields and holds no value of any.
DESCRIPTION = {"/docs", "/redoc", "/redoc.js", "/openapi.json"}
FILLINGS = {"object_id": "1", "app_label": "keys", "content_type_id": "1", "url": "keys/", "pk": "1", "id": "1"}
TOKENS = ["", "Bearer garbage", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "Basic YWRtaW46YWRtaW4="]
SECRET_MARKS = (b"mcpgw_", b"digest", b"user_id")


def routes(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    """Yield an example path of every pattern of the URLconf."""
    for pattern in resolver.url_patterns:
        part = _example(pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, before + part)
        elif isinstance(pattern, URLPattern):
            yield before + part


def _example(pattern: Any) -> str:
    text = str(pattern.pattern).removeprefix("^").removesuffix("$").replace("\\Z", "").replace("\\.", ".")
    for name in pattern.pattern.regex.groupindex:
        text = re.sub(rf"<(?:\w+:)?{name}>", FILLINGS.get(name, "1"), text)
        if "(?P" in text:
            text = text[: text.index("(?P")] + FILLINGS.get(name, "1") + ("/" if text.endswith("/") else "")
    return text


ROUTES = sorted(set(routes(get_resolver("gateway_project.urls"))))


def test_the_walk_finds_the_routes() -> None:
    assert {"/admin/", "/analytics/usage", "/namespaces", "/admin/login/"} <= set(ROUTES)
    assert len(ROUTES) > 40
    assert not [route for route in ROUTES if "<" in route or "(" in route], ROUTES


def _is_closed(answer: Answer, path: str) -> bool:
    if answer.status in (400, 401, 403, 404, 405, 415):
        return True
    location = answer.header("location") or ""
    # The start pages lead to sign-in themselves.
    if answer.status in (301, 302) and ("/login/?next=" in location or location in ("/admin/", "/dashboard/")):
        return True
    return answer.status == 200 and path in SIGN_IN | DESCRIPTION


@pytest.mark.parametrize("authorization", TOKENS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_p23_no_route_of_django_answers_a_stranger(caller: Caller, method: str, authorization: str) -> None:
    opened = []
    for path in ROUTES:
        headers = {"Authorization": authorization} if authorization else {}
        answer = caller.send(path, b"{}" if method == "POST" else b"", headers, key=None, method=method, timeout_s=20)
        marks = SECRET_MARKS[:1] if path in DESCRIPTION else SECRET_MARKS
        if not _is_closed(answer, path) or any(mark in answer.body for mark in marks):
            opened.append((path, answer.status, answer.header("location")))
    assert not opened


@pytest.mark.parametrize(
    "path", ["/mcp", "/mcp/", "/mcp/echo", "/mcp/open", "/mcp/nothing", "/mcp/echo/x", "/mcp/%65cho"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "HEAD", "PATCH", "TRACE"])
def test_p23_no_path_of_mcp_answers_a_stranger(caller: Caller, path: str, method: str) -> None:
    body = json.dumps(message("tools/list")).encode() if method in ("POST", "PUT") else b""
    for authorization in TOKENS:
        headers = {"Authorization": authorization} if authorization else {}
        answer = caller.send(path, body, headers, key=None, method=method)
        assert answer.status == 401, (path, method, answer)


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/static/../manage.py", "/.env", "/debug", "/api/", "/__debug__/"],
)
def test_paths_that_others_have_are_not_there(caller: Caller, path: str) -> None:
    assert caller.send(path, key=None, method="GET").status in (301, 400, 401, 403, 404)


def test_public_paths_say_nothing_that_is_a_secret(caller: Caller) -> None:
    for path in PUBLIC:
        answer = caller.send(path, key=None, method="GET")
        assert answer.status == 200 and len(answer.body) < 200
    for path in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server/mcp/echo"):
        answer = caller.send(path, key=None, method="GET")
        assert (
            answer.status == 404
            and answer.header(
                "content-type",
            )
            == "application/json"
        )


def test_a_callers_key_opens_no_page_of_the_admin(caller: Caller) -> None:
    for headers in ({"Authorization": f"Bearer {KEYS['alice']}"}, {"X-API-Key": KEYS["alice"]}):
        answer = caller.send("/admin/keys/apikey/", headers=headers, key=None, method="GET")
        assert answer.status == 302 and "/admin/login/" in (answer.header("location") or "")


def test_a_websocket_is_closed(caller: Caller) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for path in ("/mcp/echo", "/ws", "/"):
        assert caller.send(path, headers=upgrade, key=None, method="GET").status in (302, 400, 401, 403, 404, 405, 426)
