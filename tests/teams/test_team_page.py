"""The page of a team: admins manage, auditors look, everybody else finds nothing there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from keys.models import ApiKey, Membership, Team
from tests.teams.conftest import make_key, signed_in

PAGE = "/account/team/red/"
Person = Callable[..., User]


@pytest.fixture
def people(person: Person, red: Team, blue: Team) -> dict[str, User]:
    """One of each role, and an admin of another team."""
    made = {role: person(role, role, red) for role in ("admin", "auditor", "member")}
    made |= {"other admin": person("outsider", "admin", blue), "stranger": person("stranger")}
    return made | {"superuser": person("root", is_superuser=True, is_staff=True)}


@pytest.fixture
def admin(people: dict[str, User]) -> Client:
    """The browser of the team's admin."""
    return signed_in(people["admin"])


def member_path(account: User, what: str) -> str:
    return f"{PAGE}members/{account.pk}/{what}/"


def changes(people: dict[str, User], key: ApiKey) -> dict[str, dict[str, str]]:
    """Return every request that changes something about the team."""
    return {
        f"{PAGE}members/add/": {"username": "stranger", "role": "admin"},
        member_path(people["member"], "role"): {"role": "admin"},
        member_path(people["auditor"], "role"): {"role": "admin"},
        member_path(people["member"], "remove"): {},
        f"{PAGE}keys/{key.pk}/revoke/": {},
    }


def what_stands(page: Any) -> str:
    return re.sub(r'value="[^"]{64}"|\d\d:\d\d:\d\d', "", page.content.decode())


def fingerprint() -> list[Any]:
    return [
        list(Membership.objects.order_by("pk").values_list("team__slug", "account__username", "role")),
        [(key.pk, key.state) for key in ApiKey.objects.order_by("pk")],
    ]


def test_admins_and_auditors_see_members_namespaces_and_keys(people: dict[str, User], red: Team) -> None:
    make_key("robot", "red-one", team=red, description="nightly run")
    for role in ("admin", "auditor"):
        body = signed_in(people[role]).get(PAGE).content.decode()
        for text in ("admin", "auditor", "member", "red-one", "red-two", "robot #", "nightly run", "never"):
            assert text in body
        assert ("Add a member" in body) is (role == "admin")
        assert ("/revoke/" in body) is (role == "admin")
    assert f'href="{PAGE}"' in signed_in(people["auditor"]).get("/account/keys/").content.decode()
    assert PAGE not in signed_in(people["member"]).get("/account/keys/").content.decode()


@pytest.mark.parametrize("who", ["member", "other admin", "stranger", "superuser"])
def test_for_everybody_else_there_is_no_such_team(people: dict[str, User], red: Team, who: str) -> None:
    key, browser = make_key("robot", team=red), signed_in(people[who])
    before = fingerprint()
    unknown = browser.get("/account/team/unknown/")
    answer = browser.get(PAGE)
    # The tokens and the time on a page differ from one request to the next.
    assert answer.status_code == unknown.status_code == 404 and what_stands(answer) == what_stands(unknown)
    for address, data in changes(people, key).items():
        assert browser.post(address, data).status_code == 404, address
    assert fingerprint() == before


def test_an_auditor_changes_nothing(people: dict[str, User], red: Team) -> None:
    key, browser = make_key("robot", team=red), signed_in(people["auditor"])
    before = fingerprint()
    for address, data in changes(people, key).items():
        assert browser.post(address, data).status_code == 403, address
    assert browser.get(member_path(people["member"], "remove")).status_code == 403
    assert fingerprint() == before


def test_without_a_csrf_token_nothing_changes(people: dict[str, User], red: Team) -> None:
    key, browser = make_key("robot", team=red), signed_in(people["admin"], enforce_csrf_checks=True)
    before = fingerprint()
    for address, data in changes(people, key).items():
        assert browser.post(address, data).status_code == 403, address
    assert fingerprint() == before


def test_an_admin_adds_changes_and_removes_members(admin: Client, people: dict[str, User], red: Team) -> None:
    stranger = people["stranger"]
    answer = admin.post(f"{PAGE}members/add/", {"username": "stranger", "role": "auditor"}, follow=True)
    assert "stranger is in the team now, as auditor." in answer.content.decode()
    assert Membership.objects.get(account=stranger).role == "auditor"
    admin.post(member_path(stranger, "role"), {"role": "member"})
    assert Membership.objects.get(account=stranger).role == "member"
    key = make_key("stranger", "red-one", team=red, owner=stranger, description="desk")
    body = admin.get(member_path(stranger, "remove")).content.decode()
    assert f"stranger #{key.pk} (desk) loses its access to red-one" in body
    admin.post(member_path(stranger, "remove"))
    assert not Membership.objects.filter(account=stranger).exists()
    key.refresh_from_db()
    assert key.state == "revoked"


@pytest.mark.parametrize("name", ["nobody", "gone", "member", "Stranger", "stranger \u200b", "<script>"])
def test_a_name_that_cannot_be_added_gets_one_answer_whatever_the_reason(
    admin: Client, person: Person, name: str
) -> None:
    person("gone", is_active=False)
    before = fingerprint()
    answer = admin.post(f"{PAGE}members/add/", {"username": name, "role": "member"})
    assert answer.status_code == 400
    assert "Nobody was added: there is no active account of this name, or it is in the team already." in (
        answer.content.decode()
    )
    assert "<script>" not in answer.content.decode().split("<main")[1] and fingerprint() == before


def test_guessing_names_is_slowed(admin: Client, people: dict[str, User]) -> None:
    codes = [admin.post(f"{PAGE}members/add/", {"username": f"n{n}", "role": "member"}).status_code for n in range(21)]
    assert codes == [400] * 20 + [429]
    answer = admin.post(f"{PAGE}members/add/", {"username": "stranger", "role": "member"})
    assert answer.status_code == 429 and int(answer["Retry-After"]) > 0
    assert not Membership.objects.filter(account=people["stranger"]).exists()


@pytest.mark.parametrize("role", ["", "owner", "superuser", "admin\x00"])
def test_a_role_that_is_none_changes_nothing(admin: Client, people: dict[str, User], role: str) -> None:
    before = fingerprint()
    admin.post(member_path(people["member"], "role"), {"role": role})
    admin.post(f"{PAGE}members/add/", {"username": "stranger", "role": role})
    assert fingerprint() == before


def test_the_last_admin_stays(admin: Client, people: dict[str, User], red: Team, person: Person) -> None:
    me = people["admin"]
    for data in ({"role": "member"}, {"role": "auditor"}):
        answer = admin.post(member_path(me, "role"), data, follow=True)
        assert "This is the team&#x27;s last admin." in answer.content.decode()
    assert "last admin" in admin.post(member_path(me, "remove"), follow=True).content.decode()
    # Somebody who cannot sign in manages nothing.
    person("gone", "admin", red, is_active=False)
    admin.post(member_path(me, "remove"))
    assert Membership.objects.get(account=me).role == "admin"
    person("second", "admin", red)
    answer = admin.post(member_path(me, "role"), {"role": "member"})
    assert answer["Location"] == "/account/keys/"  # the page is no longer theirs
    assert Membership.objects.get(account=me).role == "member"
    assert admin.get(PAGE).status_code == 404


def test_an_admin_revokes_any_key_of_the_team_and_no_other(admin: Client, people: dict[str, User], red: Team) -> None:
    held = make_key("member", "red-one", team=red, owner=people["member"])
    foreign = make_key("member", "blue-one", owner=people["member"])
    assert "loses its access to red-one" in admin.get(f"{PAGE}keys/{held.pk}/revoke/").content.decode()
    admin.post(f"{PAGE}keys/{held.pk}/revoke/")
    assert admin.post(f"{PAGE}keys/{foreign.pk}/revoke/").status_code == 404
    held.refresh_from_db()
    foreign.refresh_from_db()
    assert (held.state, foreign.state) == ("revoked", "active")
    assert admin.post(f"/account/keys/{held.pk}/rotate/", {"overlap": "0"}).status_code == 404


@pytest.mark.parametrize("what", ["role", "remove"])
def test_a_member_of_another_team_is_not_found(admin: Client, people: dict[str, User], what: str) -> None:
    before = fingerprint()
    for number in (people["other admin"].pk, people["stranger"].pk, 10**9, 10**30):
        assert admin.post(f"{PAGE}members/{number}/{what}/", {"role": "member"}).status_code == 404
    assert fingerprint() == before
