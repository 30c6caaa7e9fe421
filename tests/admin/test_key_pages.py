"""The pages of keys: shown once, rotated with an overlap, revoked by name, limited and expiring."""

from __future__ import annotations

import html
import json
import re
import shlex
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from keys import secrets
from keys.models import ApiKey, Grant, KeySecret
from keys.snippets import Endpoint, snippets
from namespaces.models import Namespace
from tests.admin.pages import grant, key_form

ADD = "/admin/keys/apikey/add/"
LIST = "/admin/keys/apikey/"


def page(key: ApiKey, name: str = "change") -> str:
    return reverse(f"admin:keys_apikey_{name}", args=[key.pk])


def shown(response: Any) -> str:
    match = re.search(r'id="secret">([^<]+)<', response.content.decode())
    assert match is not None, response.content.decode()[:3000]
    return match.group(1)


def works(secret: str) -> bool:
    from django.conf import settings

    row = KeySecret.objects.filter(digest=secrets.digest(secret, settings.KEY_PEPPERS[0])).first()
    return row is not None and row.is_usable(timezone.now()) and row.key.state == "active"


def everything_stored() -> str:
    """Return every row of every table as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        tables = [name for (name,) in cursor.fetchall()]
        text = []
        for table in tables:
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t')
            text += [row for (row,) in cursor.fetchall()]
    return "\n".join(text)


def errors(response: Any) -> dict[str, list[str]]:
    return response.context["adminform"].form.errors


def test_a_key_is_shown_once_and_stored_nowhere(admin: Client, namespace: Namespace) -> None:
    response = admin.post(ADD, key_form([grant(namespace.pk)]))
    assert response.status_code == 200 and "no-store" in response["Cache-Control"]
    secret = shown(response)
    assert secrets.is_well_formed(secret) and works(secret)
    key = ApiKey.objects.get()
    assert (key.created_by, [row.namespace.slug for row in key.grants.all()]) == ("ada", ["team"])
    body = html.unescape(response.content.decode())
    assert body.count(secret) >= 6
    for address in (page(key), LIST, "/admin/", "/admin/audit/", "/admin/namespaces/namespace/", page(key, "rotate")):
        assert secret not in admin.get(address).content.decode()
    assert secret not in everything_stored()
    assert secret[20:] not in str([session.get_decoded() for session in Session.objects.all()])
    assert LogEntry.objects.exists() and secret not in str(list(LogEntry.objects.values()))


def test_the_page_has_a_line_for_every_client(admin: Client, namespace: Namespace) -> None:
    response = admin.post(ADD, key_form([grant(namespace.pk)]))
    secret, body = shown(response), html.unescape(response.content.decode())
    url = "http://testserver/mcp/team"
    assert f'claude mcp add --transport http team {url} --header "Authorization: Bearer {secret}"' in body
    for client in ("Claude Code", "Claude Desktop", "Cursor", "VS Code", "curl"):
        assert f"<h2>{client}</h2>" in body
    assert body.count('class="copy"') == 6


def test_the_snippets_are_what_the_clients_read() -> None:
    ends = [Endpoint("team", "https://gw.example.org/mcp/team"), Endpoint("ops", "http://gw.internal/mcp/ops")]
    found = {snippet.slug: snippet.text for snippet in snippets("mcpgw_k", ends)}
    assert [shlex.split(line) for line in found["claude-code"].splitlines()][1] == [
        "claude", "mcp", "add", "--transport", "http", "ops", "http://gw.internal/mcp/ops",
        "--header", "Authorization: Bearer mcpgw_k",
    ]  # fmt: skip
    desktop = json.loads(found["claude-desktop"])["mcpServers"]
    assert desktop["team"]["command"] == "npx" and "--allow-http" not in desktop["team"]["args"]
    assert desktop["ops"]["args"][-1] == "--allow-http"
    assert "Authorization:${AUTH_HEADER}" in desktop["ops"]["args"]
    assert desktop["ops"]["env"] == {"AUTH_HEADER": "Bearer mcpgw_k"}
    headers = {"Authorization": "Bearer mcpgw_k"}
    assert json.loads(found["cursor"])["mcpServers"]["team"] == {"url": ends[0].url, "headers": headers}
    assert json.loads(found["vs-code"])["servers"]["team"] == {"type": "http", "url": ends[0].url, "headers": headers}
    words = shlex.split(found["curl"].replace("\\\n", " "))
    assert words[:2] == ["curl", ends[0].url] and json.loads(words[-1])["method"] == "tools/list"


def test_a_key_without_a_grant_reaches_nothing_and_the_page_says_so(admin: Client, namespace: Namespace) -> None:
    response = admin.post(ADD, key_form())
    assert "reaches no namespace yet" in response.content.decode()
    assert not ApiKey.objects.get().all_namespaces


def test_a_key_for_all_namespaces_lists_them(admin: Client, namespace: Namespace) -> None:
    Namespace.objects.create(slug="off", enabled=False)
    body = admin.post(ADD, key_form(all_namespaces="on")).content.decode()
    assert "http://testserver/mcp/team" in body and "/mcp/off" not in body


def test_grants_carry_rules_of_their_own(admin: Client, namespace: Namespace) -> None:
    row = grant(namespace.pk, tools_found=["", "read"], requests_per_minute="100", burst="10")
    assert admin.post(ADD, key_form([row])).status_code == 200
    found = Grant.objects.get()
    assert (found.tools_mode, found.tools_listed) == ("listed", ["read"])
    assert (found.prompts_mode, found.resources_mode) == ("none", "none")
    assert (found.requests_per_minute, found.burst) == (100, 10)


def test_the_same_namespace_twice_is_a_form_error(admin: Client, namespace: Namespace) -> None:
    response = admin.post(ADD, key_form([grant(namespace.pk), grant(namespace.pk)]))
    assert "correct the duplicate" in response.content.decode()
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("value", "fine"),
    [("", True), ("-1", True), ("0", True), ("1", True), ("10000000", True),
     ("-2", False), ("1e9", False), ("10000001", False), ("NaN", False), ("1.5", False), ("∞", False)],
)  # fmt: skip
def test_m6_rates(admin: Client, value: str, fine: bool) -> None:
    response = admin.post(ADD, key_form(requests_per_minute=value))
    if not fine:
        assert errors(response)["requests_per_minute"]
    assert ApiKey.objects.exists() is fine


@pytest.mark.parametrize(
    ("value", "fine"), [("1", True), ("0", False), ("-1", False), ("1000001", False), ("x", False)]
)
def test_m6_bursts(admin: Client, value: str, fine: bool) -> None:
    admin.post(ADD, key_form(burst=value))
    assert ApiKey.objects.exists() is fine


@pytest.mark.parametrize(
    ("day", "clock"),
    [
        ("2020-01-01", "00:00:00"),
        ("9999-12-31", "23:59:59"),
        ("2026-13-45", "00:00"),
        ("soon", ""),
        ("2999-01-01", "25:00"),
    ],
)
def test_m5_an_expiry_that_makes_no_sense_is_a_form_error(admin: Client, day: str, clock: str) -> None:
    response = admin.post(ADD, key_form(expires_at_0=day, expires_at_1=clock))
    assert errors(response)["expires_at"]
    assert not ApiKey.objects.exists()


def test_m5_an_expiry_is_stored_in_utc(admin: Client) -> None:
    moment = (timezone.now() + timedelta(days=30)).replace(microsecond=0)
    data = key_form(expires_at_0=f"{moment:%Y-%m-%d}", expires_at_1=f"{moment:%H:%M:%S}")
    assert admin.post(ADD, data).status_code == 200
    assert ApiKey.objects.get().expires_at == moment


def test_m5_an_expired_key_can_still_be_described_anew(admin: Client, key: ApiKey) -> None:
    moment = (timezone.now() - timedelta(days=1)).replace(microsecond=0)
    ApiKey.objects.update(expires_at=moment)
    data = key_form(expires_at_0=f"{moment:%Y-%m-%d}", expires_at_1=f"{moment:%H:%M:%S}", description="old laptop")
    assert admin.post(page(key), data).status_code == 302
    key.refresh_from_db()
    assert (key.description, key.state) == ("old laptop", "expired")


@pytest.mark.parametrize("user", ["", "   ", "a\x00b", "a\nb", "x" * 201, "rtl\u202e"])
def test_m2_a_user_that_cannot_be_shown_is_a_form_error(admin: Client, user: str) -> None:
    assert errors(admin.post(ADD, key_form(user_id=user)))["user_id"]
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(("overlap", "old_works"), [("0", False), ("1", True), ("24", True), ("168", True)])
def test_rotation_keeps_the_old_secret_as_long_as_asked(
    admin: Client, key: ApiKey, overlap: str, old_works: bool
) -> None:
    old = key.issue()
    assert "Grants, limits and open sessions stay" in admin.get(page(key, "rotate")).content.decode()
    response = admin.post(page(key, "rotate"), {"overlap": overlap})
    assert "no-store" in response["Cache-Control"]
    new = shown(response)
    assert new != old and works(new) and works(old) is old_works
    end = KeySecret.objects.get(prefix=old[:12]).expires_at
    assert abs(end - timezone.now() - timedelta(hours=int(overlap))) < timedelta(minutes=1)
    assert new not in everything_stored()


@pytest.mark.parametrize("overlap", ["", "x", "-1", "100000"])
def test_an_overlap_that_is_not_offered_rotates_nothing(admin: Client, key: ApiKey, overlap: str) -> None:
    old = key.issue()
    admin.post(page(key, "rotate"), {"overlap": overlap})
    assert KeySecret.objects.count() == 1 and works(old)


def test_revoking_names_what_breaks_and_ends_the_key(admin: Client, key: ApiKey) -> None:
    secret = key.issue()
    body = admin.get(page(key, "revoke")).content.decode()
    assert "(laptop) loses its access to team at its next request; never used" in body
    admin.get(page(key, "revoke"), {"confirmed": "1"})
    assert works(secret)
    assert admin.post(page(key, "revoke"), {"confirmed": "1"}).status_code == 302
    assert not works(secret)
    assert admin.get(page(key, "rotate")).status_code == 302


def test_keys_are_revoked_from_the_list_after_a_confirmation(admin: Client, key: ApiKey) -> None:
    data = {"action": "revoke_selected", "_selected_action": [key.pk]}
    assert "Revoke for good" in admin.post(LIST, data).content.decode()
    assert ApiKey.objects.get().state == "active"
    admin.post(LIST, data | {"confirmed": "1"})
    assert ApiKey.objects.get().state == "revoked"


def test_the_list_filters_by_state(admin: Client, key: ApiKey) -> None:
    now = timezone.now()
    ApiKey.objects.create(user_id="soon", expires_at=now + timedelta(days=3))
    ApiKey.objects.create(user_id="expired", expires_at=now - timedelta(days=3))
    ApiKey.objects.create(user_id="revoked", revoked_at=now, expires_at=now - timedelta(days=3))
    wanted = {"active": {"bob@example.org", "soon"}, "soon": {"soon"}, "expired": {"expired"}, "revoked": {"revoked"}}
    for state, users in wanted.items():
        rows = admin.get(LIST, {"state": state}).context["cl"].result_list
        assert {row.user_id for row in rows} == users, state


def test_a_key_is_deleted_with_its_secrets_and_grants(admin: Client, key: ApiKey) -> None:
    key.issue()
    delete = page(key).replace("/change/", "/delete/")
    assert "Are you sure" in admin.get(delete).content.decode()
    assert admin.post(delete, {"post": "yes"}).status_code == 302
    assert not ApiKey.objects.exists() and not KeySecret.objects.exists()


def test_a_page_that_is_not_there_leads_back(admin: Client) -> None:
    for name in ("change", "rotate", "revoke"):
        assert admin.get(reverse(f"admin:keys_apikey_{name}", args=[999])).status_code == 302
