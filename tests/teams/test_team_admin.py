"""Teams and the team columns of keys in the admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from keys.models import ApiKey, Grant, Membership, Team, TeamNamespace
from namespaces.models import Namespace
from tests.admin.pages import inline, key_form
from tests.teams.conftest import make_key, right, signed_in

Person = Callable[..., User]
TEAMS, KEYS = "/admin/keys/team/", "/admin/keys/apikey/"


@pytest.fixture
def root(person: Person) -> Client:
    """A superuser's browser."""
    return signed_in(person("root", is_superuser=True, is_staff=True))


@pytest.fixture
def clerk(person: Person) -> Client:
    """The browser of staff who manage keys and are no superuser."""
    account = person("clerk", is_staff=True)
    for name in ("view", "add", "change"):
        account.user_permissions.add(right(f"keys.{name}_apikey"))
    return signed_in(account)


def team_form(members: list[dict[str, Any]], namespaces: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """Return the form of a team; rows with an id are there already."""
    data = {"slug": "green", "name": "Green", "description": ""}
    for prefix, rows in (("memberships", members), ("namespaces", namespaces)):
        data |= inline(prefix, rows, initial=sum("id" in row for row in rows))
    return data | fields


def change(model: str, pk: int) -> str:
    return reverse(f"admin:keys_{model}_change", args=[pk])


def test_a_team_is_made_with_members_and_namespaces(root: Client, person: Person) -> None:
    account, namespace = person("carol"), Namespace.objects.create(slug="free")
    data = team_form([{"account": account.pk, "role": "admin"}], [{"namespace": namespace.pk}])
    assert root.post(f"{TEAMS}add/", data).status_code == 302
    team = Team.objects.get()
    assert [(one.account, one.role) for one in team.memberships.all()] == [(account, "admin")]
    assert [one.namespace for one in team.namespaces.all()] == [namespace]
    body = root.get(TEAMS).content.decode()
    assert "green" in body and "free" in body
    assert TEAMS in root.get("/admin/").content.decode()


def test_a_namespace_of_another_team_is_a_form_error(root: Client, red: Team, blue: Team) -> None:
    row = {"namespace": Namespace.objects.get(slug="blue-one").pk}
    answer = root.post(f"{TEAMS}add/", team_form([], [row]))
    assert "This namespace belongs to a team already" in answer.content.decode()
    assert TeamNamespace.objects.get(namespace__slug="blue-one").team == blue


@pytest.mark.parametrize("slug", ["Green", "a b", "<script>", "", "x" * 65, "a__b"])
def test_a_name_that_cannot_stand_in_an_address_is_a_form_error(root: Client, slug: str) -> None:
    answer = root.post(f"{TEAMS}add/", team_form([], [], slug=slug))
    assert answer.context["adminform"].form.errors["slug"]
    assert not Team.objects.exists()


def test_taking_somebody_out_in_the_admin_revokes_their_keys(root: Client, red: Team, person: Person) -> None:
    account = person("dave", "member", red)
    key = make_key("dave", "red-one", team=red, owner=account)
    row = {"id": Membership.objects.get().pk, "team": red.pk, "account": account.pk, "role": "member", "DELETE": "on"}
    kept = [{"id": one.pk, "team": red.pk, "namespace": one.namespace_id} for one in red.namespaces.all()]
    kept[0]["DELETE"] = "on"
    answer = root.post(change("team", red.pk), team_form([row], kept, slug="red"))
    assert answer.status_code == 302
    key.refresh_from_db()
    assert key.state == "revoked" and not Grant.objects.exists()


def test_a_team_with_keys_is_kept_and_the_page_says_why(root: Client, red: Team) -> None:
    key = make_key("robot", team=red)
    answer = root.post(f"{TEAMS}{red.pk}/delete/", {"post": "yes"})
    assert "would require deleting the following protected related objects" in answer.content.decode()
    assert Team.objects.filter(pk=red.pk).exists()
    key.delete()
    assert root.post(f"{TEAMS}{red.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Team.objects.filter(pk=red.pk).exists()


def test_a_key_gets_team_owner_and_sight(root: Client, red: Team, person: Person) -> None:
    account = person("dave", "member", red)
    data = key_form(team=red.pk, owner=account.pk, sees="team")
    assert root.post(f"{KEYS}add/", data).status_code == 200
    key = ApiKey.objects.get()
    assert (key.team, key.owner, key.sees) == (red, account, "team")
    assert "red" in root.get(KEYS).content.decode()
    assert root.get(KEYS, {"team__id__exact": red.pk}).context["cl"].result_count == 1
    assert root.get(KEYS, {"q": "dave"}).context["cl"].result_count == 1


def test_a_key_without_a_team_does_not_see_its_teams_calls(root: Client) -> None:
    answer = root.post(f"{KEYS}add/", key_form(sees="team"))
    assert "A key that sees its team&#x27;s calls needs a team." in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_only_superusers_let_a_key_see_everything(root: Client, clerk: Client) -> None:
    answer = clerk.post(f"{KEYS}add/", key_form(sees="all"))
    assert answer.context["adminform"].form.errors["sees"] and not ApiKey.objects.exists()
    form = clerk.get(f"{KEYS}add/").context["adminform"].form
    assert "all" not in dict(form.fields["sees"].choices)
    assert root.post(f"{KEYS}add/", key_form(sees="all")).status_code == 200
    assert ApiKey.objects.get().sees == "all"


def test_staff_cannot_take_over_a_key_that_sees_everything(root: Client, clerk: Client) -> None:
    key = make_key("auditor", sees="all")
    key.issue()
    assert clerk.post(f"{KEYS}{key.pk}/rotate/", {"overlap": "0"}).status_code == 403
    assert clerk.post(change("apikey", key.pk), key_form(sees="own", description="mine")).status_code == 302
    key.refresh_from_db()
    assert (key.sees, key.description) == ("all", "mine")
    assert root.post(f"{KEYS}{key.pk}/rotate/", {"overlap": "0"}).status_code == 200
    assert clerk.post(f"{KEYS}{key.pk}/revoke/", {"confirmed": "1"}).status_code == 302


def test_who_may_not_view_teams_finds_none(clerk: Client, red: Team) -> None:
    for address in (TEAMS, change("team", red.pk), f"{TEAMS}add/"):
        assert clerk.get(address).status_code == 403
    lookup = {"app_label": "keys", "model_name": "apikey", "term": "r"}
    for field in ("team", "owner"):
        assert clerk.get("/admin/autocomplete/", lookup | {"field_name": field}).status_code == 403


def test_the_trail_of_a_team_is_one_click_away(root: Client, red: Team, person: Person) -> None:
    person("dave", "member", red)
    answer = root.get(f"{TEAMS}{red.pk}/history/")
    assert answer["Location"] == f"/admin/audit/?kind=team&object={red.pk}"
    body = root.get("/admin/audit/").content.decode()
    assert "dave in red" in body and "red-one in red" in body and change("team", red.pk) in body
