"""Rate limits in the admin: made, edited, listed, refused with a reason, and on the audit trail."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from keys.models import ApiKey, RateLimit
from namespaces.models import ConfigurationChange, Namespace
from tests.admin.pages import key_form

LIST, ADD = reverse("admin:keys_ratelimit_changelist"), reverse("admin:keys_ratelimit_add")


def form(**fields: Any) -> dict[str, Any]:
    """Return what a browser would send."""
    data = {"slug": "search", "description": "", "enabled": "on", "namespace": "", "tools": "", "user_id": ""}
    return data | {"counted": "together", "requests": "5", "window_s": "60", "algorithm": "", "burst": ""} | fields


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_a_limit_is_made_and_changed(admin: Client, namespace: Namespace) -> None:
    before = ConfigurationChange.objects.count()
    key = ApiKey.objects.create(user_id="bob")
    fields = {"namespace": namespace.pk, "tools": "search\r\nfind_*\r\n", "counted": "each_user", "user_id": " bob "}
    assert admin.post(ADD, form(key=key.pk, **fields)).status_code == 302
    limit = RateLimit.objects.get()
    assert limit.key == key
    assert (limit.namespace, limit.tools, limit.counted, limit.user_id) == (
        namespace,
        ["search", "find_*"],
        "each_user",
        "bob",
    )
    assert ConfigurationChange.objects.count() > before  # the workers are told
    page = reverse("admin:keys_ratelimit_change", args=[limit.pk])
    assert "search" in admin.get(page).content.decode()
    assert admin.post(page, form(requests="-1", algorithm="sliding_window")).status_code == 302
    limit.refresh_from_db()
    assert (limit.requests, limit.algorithm, limit.namespace, limit.tools) == (-1, "sliding_window", None, [])


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"slug": "Not So"}, "slug"),
        ({"requests": "-2"}, "requests"),
        ({"requests": "many"}, "requests"),
        ({"window_s": "0"}, "window_s"),
        ({"window_s": "86401"}, "window_s"),
        ({"burst": "0"}, "burst"),
        ({"tools": "a**********b"}, "tools"),
        ({"counted": "twice"}, "counted"),
        ({"algorithm": "sliding_window", "requests": "100001"}, "algorithm"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(admin: Client, fields: dict[str, str], where: str) -> None:
    assert where in errors(admin.post(ADD, form(**fields)))
    assert not RateLimit.objects.exists()


def test_a_key_that_would_remember_too_much_is_refused(admin: Client) -> None:
    response = admin.post(
        reverse("admin:keys_apikey_add"), key_form(algorithm="sliding_window", requests_per_minute="100001")
    )
    assert "algorithm" in errors(response)
    assert not ApiKey.objects.exists()


def test_the_list_says_what_each_is_for(admin: Client, namespace: Namespace) -> None:
    RateLimit.objects.create(slug="all", requests=1000)
    RateLimit.objects.create(slug="stop", requests=0, namespace=namespace, enabled=False)
    RateLimit.objects.create(slug="tools", requests=5, window_s=3600, tools=["a", "b", "c", "d"], user_id="bob")
    RateLimit.objects.create(slug="free", requests=None)
    RateLimit.objects.create(slug="usual", requests=-1, window_s=90)
    RateLimit.objects.create(slug="one", requests=5, key=ApiKey.objects.create(user_id="carol"))
    body = admin.get(LIST).content.decode()
    for text in (
        "every call", "1,000 a minute", "namespace team", "nothing", "tools a, b, c and 1 more, user bob", "5 an hour",
        "any number", "the default", "in force", ">off<", "key carol #",
    ):  # fmt: skip
        assert text in body, text


def test_it_stands_in_the_navigation_beside_the_keys(admin: Client) -> None:
    sections = {section["name"]: section for section in admin.get(reverse("admin:index")).context["app_list"]}
    assert [model["object_name"] for model in sections["Access"]["models"]] == [
        "ApiKey",
        "RateLimit",
        "Quota",
        "Quarantine",
    ]


def test_only_who_may_sees_and_changes_limits(make_staff: Any) -> None:
    limit = RateLimit.objects.create(slug="all", requests=1000)
    page = reverse("admin:keys_ratelimit_change", args=[limit.pk])
    stranger, viewer = make_staff(), make_staff("keys.view_ratelimit")
    assert stranger.get(page).status_code == 403 and viewer.get(page).status_code == 200
    assert viewer.post(page, form(requests="1")).status_code == 403
    limit.refresh_from_db()
    assert limit.requests == 1000


def test_a_change_is_on_the_audit_trail(admin: Client, ada: User) -> None:
    admin.post(ADD, form())
    RateLimit.objects.update(requests=7)
    body = admin.get(reverse("admin:audit_trail")).content.decode()
    assert "rate limit" in body.lower() and "search" in body
