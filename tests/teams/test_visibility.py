"""Whose calls each caller sees: every role against every view, and with how many statements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.authentication import KeyPrincipal, namespaces_for
from keys.models import ApiKey, Membership, Team, TeamNamespace
from keys.visibility import NOTHING, Scope, perspectives, scope_of
from namespaces.models import Namespace
from tests.teams.conftest import make_key, make_team, right, signed_in

Person = Callable[..., User]
RED = ("red-one", "red-two")


@pytest.fixture
def people(person: Person, red: Team, blue: Team) -> dict[str, User]:
    """One account for each role; each holds a key of its own name for `red-one`."""
    Namespace.objects.create(slug="shared")
    made = {
        "superuser": person("superuser", is_superuser=True),
        "staff who may look": person("looker", is_staff=True),
        "staff by group": person("grouped", is_staff=True),
        "staff": person("staff", is_staff=True),
        "right without staff": person("rightful"),
        "admin": person("admin", "admin", red),
        "auditor": person("auditor", "auditor", red),
        "member": person("member", "member", red),
        "stranger": person("stranger"),
    }
    made["staff who may look"].user_permissions.add(right("analytics.view_requestlog"))
    made["right without staff"].user_permissions.add(right("analytics.view_requestlog"))
    group = Group.objects.create(name="lookers")
    group.permissions.add(right("analytics.view_requestlog"))
    made["staff by group"].groups.add(group)
    for account in made.values():
        make_key(f"u-{account.username}", "red-one", owner=account)
    return {name: User.objects.get(pk=account.pk) for name, account in made.items()}


def own(name: str, *namespaces: str) -> Scope:
    return Scope(namespaces, (f"u-{name}",))


EVERYTHING = Scope(sees_addresses=True)
TABLE: dict[str, tuple[Scope, Scope, tuple[str, ...]]] = {
    "superuser": (EVERYTHING, Scope(None, ("u-superuser",), True), ("everything", "mine")),
    "staff who may look": (EVERYTHING, Scope(None, ("u-looker",), True), ("everything", "mine")),
    "staff by group": (EVERYTHING, Scope(None, ("u-grouped",), True), ("everything", "mine")),
    "staff": (own("staff", "red-one"), own("staff", "red-one"), ("mine",)),
    "right without staff": (own("rightful", "red-one"), own("rightful", "red-one"), ("mine",)),
    "admin": (Scope(RED, None, True), own("admin", *RED), ("team", "mine")),
    "auditor": (Scope(RED, None, True), own("auditor", *RED), ("team", "mine")),
    "member": (own("member", *RED), own("member", *RED), ("mine",)),
    "stranger": (own("stranger", "red-one"), own("stranger", "red-one"), ("mine",)),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_each_role_sees(people: dict[str, User], name: str) -> None:
    account, (all_of_it, mine, offered) = people[name], TABLE[name]
    for wanted, only_mine in ((all_of_it, False), (mine, True)):
        fresh = User.objects.get(pk=account.pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert scope_of(fresh, mine=only_mine) == wanted
        assert len(queries) <= 3
    assert perspectives(account) == offered


@pytest.mark.parametrize("name", TABLE)
def test_a_disabled_account_sees_nothing(people: dict[str, User], name: str) -> None:
    account = people[name]
    account.is_active = False
    account.save()
    assert scope_of(account) == scope_of(account, mine=True) == NOTHING
    assert perspectives(account) == () and not namespaces_for(account).exists()


@pytest.mark.parametrize("caller", [None, AnonymousUser(), object(), "alice"])
def test_who_is_nobody_sees_nothing(db: None, caller: object) -> None:
    Namespace.objects.create(slug="there")
    assert scope_of(caller) == NOTHING == Scope((), ())
    assert not namespaces_for(caller).exists()


def test_an_overseer_of_two_teams_sees_both_and_of_a_third_its_own_only(person: Person, red: Team, blue: Team) -> None:
    account = person("carol", "admin", red)
    Membership.objects.create(team=blue, account=account, role="auditor")
    green = make_team("green", "green-one")
    Membership.objects.create(team=green, account=account, role="member")
    assert scope_of(account) == Scope(("blue-one", *RED), None, True)
    assert scope_of(account, mine=True) == Scope(("blue-one", "green-one", *RED), ())


def test_an_overseer_of_a_team_without_namespaces_sees_no_calls(person: Person) -> None:
    account = person("carol", "admin", Team.objects.create(slug="empty"))
    make_key("carol", owner=account, all_namespaces=True)
    assert scope_of(account) == Scope((), None, True)


def test_a_member_whose_key_reaches_everything_sees_its_own_calls_everywhere(person: Person, red: Team) -> None:
    account = person("dave", "member", red)
    key = make_key("dave", owner=account, all_namespaces=True)
    assert scope_of(account) == Scope(None, ("dave",))
    key.revoke()
    assert scope_of(account) == Scope(RED, ("dave",))


def test_revoked_and_expired_keys_tell_whose_calls_are_ones_own_but_open_nothing(person: Person, blue: Team) -> None:
    account = person("erin")
    make_key("erin-1", "blue-one", owner=account).revoke()
    make_key("erin-2", "blue-one", owner=account, expires_at=timezone.now() - timedelta(days=1))
    assert scope_of(account) == Scope((), ("erin-1", "erin-2"))


def test_other_peoples_keys_change_nothing(people: dict[str, User], red: Team) -> None:
    before = scope_of(people["member"])
    make_key("someone", "blue-one", team=red)
    make_key("u-member", "blue-one", team=red, all_namespaces=True)
    assert scope_of(people["member"]) == before


def test_a_disabled_namespace_of_a_team_can_still_be_looked_back_at(people: dict[str, User]) -> None:
    Namespace.objects.filter(slug="red-two").update(enabled=False)
    assert scope_of(people["auditor"]).namespaces == RED
    assert "red-two" not in namespaces_for(people["auditor"]).values_list("slug", flat=True)


@pytest.mark.parametrize(
    ("columns", "scope", "mine"),
    [
        ({}, Scope(("blue-one",), ("bot",)), Scope(("blue-one",), ("bot",))),
        ({"all_namespaces": True}, Scope(None, ("bot",)), Scope(None, ("bot",))),
        ({"sees": "team"}, Scope(RED), Scope(("blue-one",), ("bot",))),
        ({"sees": "all"}, Scope(), Scope(("blue-one",), ("bot",))),
    ],
)
def test_what_the_bearer_of_a_key_sees(
    red: Team, blue: Team, columns: dict[str, Any], scope: Scope, mine: Scope
) -> None:
    key = make_key("bot", "blue-one", team=red, **columns)
    principal = KeyPrincipal(ApiKey.objects.get(pk=key.pk))
    with CaptureQueriesContext(connection) as queries:
        assert (scope_of(principal), scope_of(principal, mine=True)) == (scope, mine)
    assert len(queries) <= 3


def test_a_key_of_a_team_without_namespaces_sees_nothing_of_others(red: Team) -> None:
    key = make_key("bot", team=red, sees="team", all_namespaces=True)
    TeamNamespace.objects.all().delete()
    assert scope_of(KeyPrincipal(key)) == Scope(())


@pytest.mark.parametrize(
    ("name", "slugs"),
    [
        ("superuser", {"red-one", "red-two", "blue-one", "shared"}),
        ("staff who may look", {"red-one", "red-two", "blue-one", "shared"}),
        ("staff", {"red-one"}),
        ("admin", {"red-one", "red-two"}),
        ("member", {"red-one", "red-two"}),
        ("stranger", {"red-one"}),
    ],
)
def test_the_namespaces_that_an_account_may_use_over_rest(people: dict[str, User], name: str, slugs: set[str]) -> None:
    found = signed_in(people[name]).get("/namespaces").json()["namespaces"]
    assert [row["name"] for row in found] == sorted(slugs)


def test_a_key_for_everything_opens_all_namespaces_to_its_holder(people: dict[str, User]) -> None:
    make_key("u-stranger", owner=people["stranger"], all_namespaces=True)
    found = signed_in(people["stranger"]).get("/namespaces").json()["namespaces"]
    assert {row["name"] for row in found} == {"red-one", "red-two", "blue-one", "shared"}
