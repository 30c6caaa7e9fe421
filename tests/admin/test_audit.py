"""The audit trail: every path leaves its mark, with who and what, and never a secret."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gateway_project import audit
from gateway_project.audit_entries import Entry
from keys.models import ApiKey
from namespaces.models import Namespace, Upstream, UpstreamCredential
from tests.admin.pages import grant, key_form, namespace_form, upstream_form

TRAIL = "/admin/audit/"


def newest(kind: str) -> Entry:
    return audit.entries(audit.Filters(kind=kind), audit.tracked(), 1)[0]


def change_of(entry: Entry, field: str) -> tuple[str, str]:
    return next((change.before, change.after) for change in entry.changes if change.field == field)


def test_a_change_in_the_admin_names_the_person_the_page_and_both_values(admin: Client, upstream: Upstream) -> None:
    address = reverse("admin:namespaces_upstream_change", args=[upstream.pk])
    admin.post(address, upstream_form(description="Holds files."))
    entry = newest("upstream")
    assert (entry.actor, entry.origin, entry.action, entry.title) == ("ada", address, "changed", "files")
    assert change_of(entry, "description") == ("", "Holds files.")
    assert len(entry.changes) == 1


def test_an_action_on_the_list_names_the_person(admin: Client, upstream: Upstream) -> None:
    data = {"action": "disable", "_selected_action": [upstream.pk], "confirmed": "1"}
    admin.post("/admin/namespaces/upstream/", data)
    entry = newest("upstream")
    assert (entry.actor, change_of(entry, "enabled")) == ("ada", ("yes", "no"))


def test_update_of_a_query_set_is_seen(upstream: Upstream) -> None:
    Upstream.objects.filter(pk=upstream.pk).update(url="http://127.0.0.1:48/mcp")
    entry = newest("upstream")
    assert (entry.actor, entry.origin) == ("", "database (outside the gateway)")
    assert change_of(entry, "url") == ("http://127.0.0.1:47/mcp", "http://127.0.0.1:48/mcp")


def test_plain_sql_is_seen(namespace: Namespace, key: ApiKey) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE keys_grant SET tools_mode = 'none' WHERE key_id = %s", [key.pk])
        cursor.execute("DELETE FROM keys_grant WHERE key_id = %s", [key.pk])
    deleted, changed = audit.entries(audit.Filters(kind="grant"), audit.tracked(), 2)
    assert change_of(changed, "tools_mode") == ("all", "none")
    assert (deleted.action, deleted.title) == ("deleted", f"bob@example.org #{key.pk} → team")
    assert deleted.origin == "database (outside the gateway)"


def test_an_import_is_seen(db: None, tmp_path: Any) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("namespaces: {imported: {url: 'http://127.0.0.1:47/mcp'}}\n")
    call_command("import_config", str(path), verbosity=0)
    entries = audit.entries(audit.Filters(label="insert"), audit.tracked(), 50)
    assert {"upstream", "namespace", "mount"} == {entry.kind for entry in entries}
    assert {entry.origin for entry in entries} == {"import_config gateway.yaml"}


def test_keys_are_seen_from_issue_to_revocation(admin: Client, namespace: Namespace) -> None:
    admin.post("/admin/keys/apikey/add/", key_form([grant(namespace.pk)]))
    key = ApiKey.objects.get()
    admin.post(f"/admin/keys/apikey/{key.pk}/rotate/", {"overlap": "1"})
    admin.post(f"/admin/keys/apikey/{key.pk}/revoke/", {"confirmed": "1"})
    entries = audit.entries(audit.Filters(), ("apikey", "keysecret", "grant"), 50)
    assert sorted((entry.kind, entry.action) for entry in entries) == [
        ("apikey", "added"),
        ("apikey", "changed"),
        ("grant", "added"),
        ("keysecret", "added"),
        ("keysecret", "added"),
        ("keysecret", "changed"),
    ]
    assert {entry.actor for entry in entries} == {"ada"}


def test_a_replaced_secret_is_an_event_without_the_secret(admin: Client, upstream: Upstream) -> None:
    credential = UpstreamCredential.objects.create(upstream=upstream, header="X-Key", value="old-secret-1")
    row = {"id": credential.pk, "upstream": upstream.pk, "header": "X-Key", "value": "new-secret-2"}
    admin.post(reverse("admin:namespaces_upstream_change", args=[upstream.pk]), upstream_form([row], initial=1))
    entry = newest("upstreamcredential")
    assert (entry.action, entry.title, entry.changes) == ("changed", "X-Key of files", ())
    body = admin.get(TRAIL).content.decode()
    assert "the secret was replaced" in body and "new-secret-2" not in body and "old-secret-1" not in body


def test_secrets_in_an_address_are_masked(admin: Client, upstream: Upstream) -> None:
    Upstream.objects.update(url="http://127.0.0.1:47/mcp?api_key=sk-in-the-url-1")
    assert "sk-in-the-url-1" not in admin.get(TRAIL).content.decode()
    assert "api_key=••••" in admin.get(TRAIL).content.decode()


def test_rows_that_are_gone_keep_a_name_or_a_number(admin: Client, key: ApiKey, ada: User) -> None:
    namespace = Namespace.objects.get()
    admin.post(f"/admin/namespaces/namespace/{namespace.pk}/delete/", {"post": "yes"})
    body = admin.get(TRAIL).content.decode()
    assert f"bob@example.org #{key.pk} → #{namespace.pk}" in body
    ada_id = ada.pk
    other = User.objects.create_superuser("grace", password="the-password-of-grace")
    User.objects.filter(pk=ada_id).delete()
    client = Client()
    client.force_login(other)
    assert f"user #{ada_id} (deleted)" in client.get(TRAIL).content.decode()


def test_the_filters_hold_and_stand_in_the_address(admin: Client, upstream: Upstream, ada: User) -> None:
    admin.post("/admin/namespaces/upstream/add/", upstream_form(slug="second"))
    admin.post("/admin/namespaces/namespace/add/", namespace_form(upstream.pk, slug="third"))

    def titles(**query: Any) -> set[str]:
        return {entry.title for entry, _ in admin.get(TRAIL, query).context["rows"]}

    assert titles(kind="upstream") == {"files", "second"}
    assert titles(kind="upstream", who=ada.pk) == {"second"}
    assert titles(kind="upstream", who="outside") == {"files"}
    assert titles(kind="upstream", object=upstream.pk) == {"files"}
    assert titles(action="delete") == set()
    assert titles(since=f"{timezone.now() + timedelta(days=1):%Y-%m-%d}") == set()
    assert "No change matches these filters" in admin.get(TRAIL, {"action": "delete"}).content.decode()


@pytest.mark.parametrize(
    "query",
    [{"kind": "plan"}, {"kind": "'; --"}, {"who": "x"}, {"object": "1 OR 1=1"}, {"since": "2026-13-45"},
     {"action": "drop"}, {"page": "0"}, {"page": "1e9"}, {"kind": "a\x00b"}, {"object": "9" * 40}],
)  # fmt: skip
def test_a_filter_that_is_none_is_answered_with_400(admin: Client, upstream: Upstream, query: dict[str, str]) -> None:
    response = admin.get(TRAIL, query)
    assert response.status_code == 400
    assert not response.context["rows"]


def test_older_changes_are_pages_away(admin: Client, upstream: Upstream) -> None:
    for number in range(120):
        Upstream.objects.filter(pk=upstream.pk).update(description=f"number {number}")
    seen, query = [], ""
    for _ in range(4):
        response = admin.get(f"{TRAIL}?{query}")
        seen += [
            change_of(entry, "description")[1] for entry, _ in response.context["rows"] if entry.action == "changed"
        ]
        query = response.context["older"]
        if query is None:
            break
    assert seen == [f"number {number}" for number in reversed(range(120))]


def test_nothing_on_the_page_changes_anything(admin: Client, upstream: Upstream) -> None:
    body = admin.get(TRAIL).content.decode()
    assert body.count('method="post"') == 1  # signing out
    assert admin.get(f"/admin/namespaces/upstream/{upstream.pk}/history/")["Location"] == (
        f"{TRAIL}?kind=upstream&object={upstream.pk}"
    )


def test_an_empty_trail_says_what_comes(make_staff: Callable[..., Client]) -> None:
    assert "Nothing has been changed yet" in make_staff("keys.view_apikey").get(TRAIL).content.decode()


def test_accounts_are_on_the_trail_without_their_passwords(admin: Client, ada: User) -> None:
    from django.contrib.auth.models import Group, Permission

    group = Group.objects.create(name="operators")
    data = {"username": "grace", "usable_password": "true", "password1": "grace-pass-12", "password2": "grace-pass-12"}
    assert admin.post("/admin/auth/user/add/", data).status_code == 302
    grace = User.objects.get(username="grace")
    right = Permission.objects.get(codename="view_apikey")
    data = {
        "username": "grace",
        "is_active": "on",
        "is_staff": "on",
        "groups": [group.pk],
        "user_permissions": [right.pk],
    }
    data |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert admin.post(f"/admin/auth/user/{grace.pk}/change/", data).status_code == 302
    assert change_of(newest("account"), "is_staff") == ("no", "yes")
    assert newest("account").actor == "ada"
    assert newest("membership").title == "grace in operators"
    assert newest("personalright").title == "grace: Can view API key"
    data = {"usable_password": "true", "password1": "grace-pass-34", "password2": "grace-pass-34"}
    assert admin.post(f"/admin/auth/user/{grace.pk}/password/", data).status_code == 302
    entry = newest("account")
    assert (entry.title, entry.changes) == ("grace", ())
    grace.refresh_from_db()
    body = admin.get(TRAIL).content.decode()
    assert "the password was changed" in body
    assert grace.password.split("$")[-1] not in body and "grace-pass" not in body


def test_signing_in_is_no_change(ada: User) -> None:
    before = len(audit.entries(audit.Filters(), audit.tracked(), 100))
    Client().post("/admin/login/", {"username": "ada", "password": "the-password-of-ada"})
    assert User.objects.get().last_login is not None
    assert len(audit.entries(audit.Filters(), audit.tracked(), 100)) == before
