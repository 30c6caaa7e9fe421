"""The pages of quarantines: stopping each kind of thing, what is refused, who set it, and lifting it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from keys.models import ApiKey, Quarantine
from namespaces.models import Namespace, Upstream

LIST = "/admin/keys/quarantine/"
ADD = f"{LIST}add/"


def form(scope: str, **fields: Any) -> dict[str, Any]:
    blank = {"key": "", "user_id": "", "tool": "", "namespace": "", "upstream": "", "ends_at_0": "", "ends_at_1": ""}
    return {"scope": scope, "reason": "It loops"} | blank | fields


def errors(response: Any) -> str:
    return str(response.context["adminform"].form.errors)


def test_each_kind_of_thing_can_be_stopped(
    admin: Client, key: ApiKey, namespace: Namespace, upstream: Upstream
) -> None:
    for data in (
        form("key", key=key.pk),
        form("user", user_id="  bob@example.org "),
        form("tool", tool="delete"),
        form("tool", tool="delete", namespace=namespace.pk, upstream=upstream.pk),
        form("namespace", namespace=namespace.pk),
        form("upstream", upstream=upstream.pk),
    ):
        assert admin.post(ADD, data).status_code == 302, data
    assert set(Quarantine.objects.values_list("set_by", "reason")) == {("ada", "It loops")}
    text = admin.get(LIST).content.decode()
    for subject in (str(key), "bob@example.org", "delete", f"delete in {namespace} and {upstream}"):
        assert subject in text
    assert text.count('state-error">in force') == 6


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": "key"},
        {"scope": "user", "tool": "delete"},
        {"scope": "tool"},
        {"scope": "tool", "tool": "delete", "user_id": "bob"},
        {"scope": "namespace", "tool": "delete"},
        {"scope": "upstream"},
        {"scope": "everything", "user_id": "bob"},
    ],
)
def test_what_names_nothing_or_too_much_is_refused(admin: Client, fields: dict[str, Any]) -> None:
    response = admin.post(ADD, form(**fields))
    assert response.status_code == 200
    assert "Name what is quarantined" in errors(response) or "valid choice" in errors(response)
    assert not Quarantine.objects.exists()


def test_the_database_itself_refuses_it_too(db: None) -> None:
    for columns in (
        {"scope": "user"},
        {"scope": "tool", "user_id": "bob"},
        {"scope": "user", "user_id": "b", "reason": ""},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Quarantine.objects.create(**{"reason": "It loops"} | columns)


def test_a_reason_is_needed_and_an_end_lies_ahead(admin: Client) -> None:
    past = timezone.now() - timedelta(hours=1)
    assert "required" in errors(admin.post(ADD, form("user", user_id="bob", reason=" ")))
    assert "printable" in errors(admin.post(ADD, form("user", user_id="bob", reason="a\u202eb")))
    moment = {"ends_at_0": f"{past:%Y-%m-%d}", "ends_at_1": f"{past:%H:%M:%S}"}
    assert "has passed" in errors(admin.post(ADD, form("user", user_id="bob", **moment)))
    assert not Quarantine.objects.exists()


def test_it_is_over_by_itself_or_lifted_and_the_trail_keeps_both(admin: Client) -> None:
    admin.post(ADD, form("user", user_id="bob"))
    Quarantine.objects.create(scope="user", user_id="eve", reason="Slow", ends_at=timezone.now() - timedelta(minutes=1))
    assert [row.user_id for row in Quarantine.objects.in_force()] == ["bob"]
    assert 'state-muted">over' in admin.get(LIST).content.decode()
    assert "eve" not in admin.get(f"{LIST}?state=on").content.decode()
    bob = Quarantine.objects.get(user_id="bob")
    assert admin.post(f"{LIST}{bob.pk}/delete/", {"post": "yes"}).status_code == 302
    trail = admin.get("/admin/audit/?kind=quarantine").content.decode()
    assert "user bob" in trail and "It loops" in trail and "deleted" in trail


def test_somebody_without_the_right_stops_nothing(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("eve", is_staff=True))
    assert client.post(ADD, form("user", user_id="bob")).status_code == 403
    assert not Quarantine.objects.exists()
