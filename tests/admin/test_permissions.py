"""M1, M9, M10: what somebody without the right, the token or the session may not do, however they ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from keys.models import ApiKey, KeySecret
from namespaces.models import Namespace, Upstream
from tests.admin.pages import grant, key_form, namespace_form, upstream_form

MakeStaff = Callable[..., Client]
VIEW_ALL = (
    "namespaces.view_upstream",
    "namespaces.view_namespace",
    "namespaces.view_catalogueentry",
    "keys.view_apikey",
)


def forged(upstream: Upstream, namespace: Namespace, key: ApiKey) -> dict[str, dict[str, Any]]:
    """Return every request that changes something."""
    one = {"_selected_action": [upstream.pk], "confirmed": "1"}
    change = "admin:{}_change"
    return {
        "/admin/namespaces/upstream/add/": upstream_form(slug="forged"),
        reverse(change.format("namespaces_upstream"), args=[upstream.pk]): upstream_form(description="forged"),
        f"/admin/namespaces/upstream/{upstream.pk}/delete/": {"post": "yes"},
        f"/admin/namespaces/upstream/{upstream.pk}/test/": {},
        "/admin/namespaces/upstream/?a=1": one | {"action": "disable"},
        "/admin/namespaces/upstream/?a=2": one | {"action": "test_connection"},
        "/admin/namespaces/upstream/?a=3": one | {"action": "delete_selected", "post": "yes"},
        "/admin/namespaces/namespace/add/": namespace_form(upstream.pk, slug="forged"),
        reverse(change.format("namespaces_namespace"), args=[namespace.pk]): namespace_form(upstream.pk, slug="forged"),
        "/admin/namespaces/namespace/?a=1": {"action": "disable", "_selected_action": [namespace.pk], "confirmed": "1"},
        "/admin/keys/apikey/add/": key_form([grant(namespace.pk)]),
        "/admin/keys/apikey/add/?_popup=1": key_form([grant(namespace.pk)]) | {"_popup": "1"},
        reverse(change.format("keys_apikey"), args=[key.pk]): key_form(all_namespaces="on"),
        f"/admin/keys/apikey/{key.pk}/rotate/": {"overlap": "0"},
        f"/admin/keys/apikey/{key.pk}/revoke/": {"confirmed": "1"},
        f"/admin/keys/apikey/{key.pk}/delete/": {"post": "yes"},
        "/admin/keys/apikey/": {"action": "revoke_selected", "_selected_action": [key.pk], "confirmed": "1"},
        "/admin/namespaces/catalogueentry/add/": {"name": "forged"},
        "/admin/auth/user/add/": {"username": "forged", "password1": "forged-pass-1", "password2": "forged-pass-1"},
    }


def fingerprint() -> tuple[Any, ...]:
    """Return everything that a forged request could have changed."""
    return (
        list(Upstream.objects.values_list("slug", "description", "enabled", "detected_era", "status__ok")),
        list(Namespace.objects.values_list("slug", "enabled")),
        list(ApiKey.objects.values_list("user_id", "all_namespaces", "revoked_at")),
        list(KeySecret.objects.values_list("prefix", "expires_at")),
        User.objects.filter(username="forged").exists(),
    )


@pytest.mark.parametrize("rights", [(), VIEW_ALL], ids=["no rights", "rights to view"])
def test_m9_staff_without_the_right_change_nothing(
    make_staff: MakeStaff, namespace: Namespace, upstream: Upstream, key: ApiKey, rights: tuple[str, ...]
) -> None:
    key.issue()
    client, before = make_staff(*rights), fingerprint()
    for address, data in forged(upstream, namespace, key).items():
        response = client.post(address, data)
        # An action that somebody may not take is not on offer, so the list ignores it.
        assert response.status_code == 403 or (rights and response.status_code in (200, 302)), (address, response)
        assert fingerprint() == before, address


def test_m9_staff_without_rights_see_nothing(make_staff: MakeStaff, key: ApiKey) -> None:
    client = make_staff()
    for address in (
        "/admin/namespaces/upstream/",
        "/admin/namespaces/namespace/",
        "/admin/namespaces/namespace/found-names/?part=tools",
        "/admin/namespaces/catalogueentry/",
        "/admin/keys/apikey/",
        f"/admin/keys/apikey/{key.pk}/change/",
        f"/admin/keys/apikey/{key.pk}/rotate/",
        "/admin/auth/user/",
        "/admin/autocomplete/?app_label=keys&model_name=grant&field_name=namespace&term=t",
    ):
        assert client.get(address).status_code == 403, address
    for address in ("/admin/", "/admin/audit/"):
        body = client.get(address).content.decode()
        assert "bob@example.org" not in body and "team" not in body and "files" not in body, address


def test_m9_who_may_view_keys_sees_their_history_and_no_other(make_staff: MakeStaff, key: ApiKey) -> None:
    body = make_staff("keys.view_apikey").get("/admin/audit/").content.decode()
    assert "bob@example.org" in body and "http://127.0.0.1:47" not in body


def test_m9_who_may_edit_keys_edits_no_grants_without_the_right(
    make_staff: MakeStaff, namespace: Namespace, key: ApiKey
) -> None:
    other = Namespace.objects.create(slug="other")
    client = make_staff("keys.view_apikey", "keys.change_apikey")
    data = key_form([grant(other.pk)], description="mine")
    client.post(reverse("admin:keys_apikey_change", args=[key.pk]), data)
    key.refresh_from_db()
    assert key.description == "mine"
    assert [row.namespace.slug for row in key.grants.all()] == ["team"]


def admin_addresses() -> list[str]:
    """Return one address for every route of the admin."""
    found = []

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> None:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, route)
            else:
                found.append("/" + _filled(route))

    walk([p for p in get_resolver().url_patterns if str(p.pattern) == "admin/"], "")
    return found


def _filled(route: str) -> str:
    import re

    route = re.sub(r"<int:[a-z_]+>", "1", route)
    route = re.sub(r"<(path:)?object_id>", "1", route)
    route = route.replace("^(?P<app_label>", "").replace(")/$", "/").split("|")[0].replace("(?P<url>.*)$", "x")
    return re.sub(r"<[^>]+>", "x", route)


def test_p23_every_page_asks_a_stranger_to_sign_in(db: None) -> None:
    addresses = admin_addresses()
    assert len(addresses) > 40
    open_to_all = ("/admin/login/", "/admin/logout/", "/admin/jsi18n/")
    for address in addresses:
        for method in ("get", "post"):
            response = getattr(Client(), method)(address)
            if address.startswith(open_to_all):
                continue
            assert response.status_code in (301, 302, 403, 404), (method, address, response.status_code)
            if response.status_code == 302:
                assert response["Location"].startswith(("/admin/login/?next=", "/admin/password_change")), address


def test_somebody_who_is_not_staff_gets_no_further(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("eve"))
    assert client.get("/admin/audit/").status_code == 302
    assert client.get("/admin/").status_code == 302


def test_m1_a_form_without_its_token_is_refused(
    ada: User, upstream: Upstream, namespace: Namespace, key: ApiKey
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    before = fingerprint()
    for address, data in forged(upstream, namespace, key).items():
        assert client.post(address, data).status_code == 403, address
    assert fingerprint() == before
    assert client.post("/admin/login/", {"username": "ada", "password": "x"}).status_code == 403


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_m10_signing_in_leads_nowhere_else(ada: User, target: str) -> None:
    data = {"username": "ada", "password": "the-password-of-ada", "next": target}
    response = Client().post(f"/admin/login/?next={target}", data)
    assert response.status_code == 302
    assert response["Location"] == "/dashboard/"


def test_pages_carry_a_strict_content_policy_and_no_inline_script(
    admin: Client, key: ApiKey, namespace: Namespace, upstream: Upstream
) -> None:
    import re

    for address in (
        "/admin/",
        "/admin/audit/",
        "/admin/namespaces/upstream/",
        f"/admin/namespaces/upstream/{upstream.pk}/change/",
        f"/admin/namespaces/namespace/{namespace.pk}/change/",
        f"/admin/keys/apikey/{key.pk}/change/",
        "/admin/keys/apikey/add/",
        f"/admin/keys/apikey/{key.pk}/rotate/",
    ):
        response = admin.get(address)
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy
        body = response.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", body), address
        assert not re.search(r"\sstyle=|\son[a-z]+=\"|<style", body), address
        assert response["X-Frame-Options"] == "DENY"
