"""People who manage their own keys: the whole way through the pages, and everything they may not do there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from gateway_project import audit
from keys import secrets
from keys.authentication import find_key
from keys.models import ApiKey, Grant, KeySecret, Membership, Team, TeamNamespace
from namespaces.models import Namespace
from tests.admin.test_key_pages import everything_stored
from tests.teams.conftest import make_key, make_team, signed_in

KEYS, ISSUE = "/account/keys/", "/account/keys/issue/"
Person = Callable[..., User]


@pytest.fixture
def alice(person: Person, red: Team, blue: Team) -> User:
    """A member of the red team; the blue one is none of her business."""
    return person("alice", "member", red)


@pytest.fixture
def browser(alice: User) -> Client:
    """Alice's browser."""
    return signed_in(alice)


def form(*namespaces: str, **fields: Any) -> dict[str, Any]:
    """Return the form of a key as the page would send it."""
    data = {"team": "red", "namespaces": list(namespaces), "description": "laptop", "days": "30"}
    return data | {"requests_per_minute": ""} | fields


def shown(response: Any) -> str:
    found = re.search(r'id="secret">([^<]+)<', response.content.decode())
    assert found is not None, response.content.decode()[:3000]
    return found[1]


def token_of(page: Any) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())
    assert found is not None
    return found[1]


def path(key: ApiKey, what: str) -> str:
    return f"/account/keys/{key.pk}/{what}/"


def test_the_whole_way_with_csrf_tokens_from_issue_to_revocation(alice: User) -> None:
    browser = signed_in(alice, enforce_csrf_checks=True)
    assert "You hold no key yet" in browser.get(KEYS).content.decode()
    page = browser.get(ISSUE)
    body = page.content.decode()
    assert "red-one" in body and "red-two" in body and "blue-one" not in body
    assert browser.post(ISSUE, form("red-one")).status_code == 403
    answer = browser.post(ISSUE, form("red-one", requests_per_minute="60") | {"csrfmiddlewaretoken": token_of(page)})
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    secret = shown(answer)
    body = answer.content.decode()
    assert "http://testserver/mcp/red-one" in body and "red-two" not in body and "Claude Code" in body
    key = ApiKey.objects.get()
    assert (key.user_id, key.owner, key.team.slug, key.created_by) == ("alice", alice, "red", "alice")
    assert (key.all_namespaces, key.sees, key.requests_per_minute, key.burst) == (False, "own", 60, None)
    assert abs(key.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    grant = Grant.objects.get()
    assert (grant.namespace.slug, grant.tools_mode, grant.prompts_mode, grant.resources_mode) == (
        "red-one", "all", "all", "all",
    )  # fmt: skip
    assert find_key(secret) == key

    page = browser.get(path(key, "rotate"))
    assert browser.post(path(key, "rotate"), {"overlap": "0"}).status_code == 403
    answer = browser.post(path(key, "rotate"), {"overlap": "0", "csrfmiddlewaretoken": token_of(page)})
    assert "no-store" in answer["Cache-Control"]
    new = shown(answer)
    assert find_key(new) == key and find_key(secret) is None

    page = browser.get(path(key, "revoke"))
    assert "loses its access to red-one at its next request; never used" in page.content.decode()
    assert browser.post(path(key, "revoke")).status_code == 403
    answer = browser.post(path(key, "revoke"), {"csrfmiddlewaretoken": token_of(page)}, follow=True)
    assert "is revoked. It is refused from its next request on." in answer.content.decode()
    assert find_key(new) is None
    for address in (KEYS, path(key, "revoke"), ISSUE):
        assert new not in browser.get(address).content.decode()


def test_the_key_is_stored_nowhere_and_the_trail_names_the_person(browser: Client, alice: User) -> None:
    secret = shown(browser.post(ISSUE, form("red-one")))
    assert secrets.is_well_formed(secret) and secret not in everything_stored()
    found = audit.entries(audit.Filters(user_id=str(alice.pk)), audit.tracked(), 50)
    assert {(entry.kind, entry.action) for entry in found} == {
        ("apikey", "added"), ("grant", "added"), ("keysecret", "added"),
    }  # fmt: skip
    assert {(entry.actor, entry.origin) for entry in found} == {("alice", ISSUE)}
    assert secret not in str(found) and secret[12:] not in str(found)


ESCALATIONS: dict[str, dict[str, Any]] = {
    "namespace of another team": {"namespaces": ["blue-one"]},
    "one of each": {"namespaces": ["red-one", "blue-one"]},
    "namespace of no team": {"namespaces": ["free"]},
    "disabled namespace": {"namespaces": ["red-off"]},
    "no namespace": {"namespaces": []},
    "namespace by number": {"namespaces": ["1"]},
    "too long a life": {"days": "91"},
    "no life": {"days": "0"},
    "a life of a million years": {"days": "365000000"},
    "no end": {"days": ""},
    "no limit by the back door": {"requests_per_minute": "-1"},
    "a limit of nothing": {"requests_per_minute": "0"},
    "a limit of words": {"requests_per_minute": "NaN"},
    "invisible description": {"description": "a\u202eb"},
    "no description": {"description": ""},
    "NUL": {"description": "a\x00b"},
    "endless description": {"description": "x" * 501},
}


@pytest.mark.parametrize("attempt", ESCALATIONS)
def test_what_goes_beyond_the_team_is_a_form_error(browser: Client, red: Team, attempt: str) -> None:
    Namespace.objects.create(slug="free")
    off = Namespace.objects.create(slug="red-off", enabled=False)
    TeamNamespace.objects.create(team=red, namespace=off)
    answer = browser.post(ISSUE, form("red-one") | ESCALATIONS[attempt])
    assert answer.status_code == 200 and answer.context["form"].errors
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("team", ["blue", "nothing", "red\x00", "<script>"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_another_team_is_not_found_like_one_that_does_not_exist(browser: Client, team: str, method: str) -> None:
    data = form("blue-one", team=team) if method == "post" else {"team": team}
    assert getattr(browser, method)(ISSUE, data).status_code == 404
    assert not ApiKey.objects.exists()


def test_fields_that_the_form_does_not_have_change_nothing(browser: Client, person: Person, blue: Team) -> None:
    bob = person("bob", "member", blue)
    more = {
        "all_namespaces": "on", "sees": "all", "owner": str(bob.pk), "user_id": "bob", "burst": "1000000",
        "created_by": "bob", "expires_at": "9999-01-01", "revoked_at": "", "tools_mode": "none", "grants": "blue-one",
    }  # fmt: skip
    shown(browser.post(ISSUE, form("red-one") | more))
    key = ApiKey.objects.get()
    assert (key.all_namespaces, key.sees, key.owner.username, key.user_id) == (False, "own", "alice", "alice")
    assert (key.burst, key.created_by, key.team.slug, key.state) == (None, "alice", "red", "active")
    assert [grant.namespace.slug for grant in key.grants.all()] == ["red-one"]


@pytest.mark.parametrize("columns", [{}, {"revoked_at": timezone.now()}])
def test_a_name_under_which_others_call_is_refused_with_the_reason(browser: Client, columns: dict[str, Any]) -> None:
    make_key("alice", **columns)
    assert "Keys that are not yours call as “alice” already" in browser.get(ISSUE).content.decode()
    answer = browser.post(ISSUE, form("red-one"))
    assert "Keys that are not yours" in answer.content.decode() and ApiKey.objects.count() == 1
    ApiKey.objects.update(owner=User.objects.get(username="alice"))
    shown(browser.post(ISSUE, form("red-one")))


def test_more_keys_than_anybody_needs_are_refused(browser: Client, alice: User) -> None:
    ApiKey.objects.bulk_create(ApiKey(user_id="alice", owner=alice) for _ in range(50))
    assert "You have 50 keys that work" in browser.post(ISSUE, form("red-one")).content.decode()
    ApiKey.objects.first().revoke()
    shown(browser.post(ISSUE, form("red-one")))


def test_the_longest_life_is_a_setting(browser: Client, settings: Any) -> None:
    settings.SELF_SERVICE_KEY_DAYS = 7
    assert 'max="7"' in browser.get(ISSUE).content.decode()
    assert browser.post(ISSUE, form("red-one", days="8")).context["form"].errors["days"]
    shown(browser.post(ISSUE, form("red-one", days="7")))


def test_who_has_several_teams_is_asked_which(browser: Client, alice: User, blue: Team) -> None:
    Membership.objects.create(team=blue, account=alice, role="member")
    body = browser.get(ISSUE).content.decode()
    assert "For which team?" in body and 'value="blue"' in body and "red-one" not in body
    assert "blue-one" in browser.get(ISSUE, {"team": "blue"}).content.decode()
    shown(browser.post(ISSUE, form("blue-one", team="blue")))
    assert ApiKey.objects.get().team == blue


def test_who_has_no_team_is_told_what_to_do(person: Person) -> None:
    browser = signed_in(person("carol"))
    for address in (KEYS, ISSUE):
        assert "Ask an administrator to add your account, carol" in browser.get(address).content.decode()
    assert browser.post(ISSUE, form("red-one")).status_code == 404


def test_a_team_without_namespaces_says_so(person: Person) -> None:
    browser = signed_in(person("carol", "member", make_team("empty")))
    assert "has no namespace yet" in browser.get(ISSUE).content.decode()


def others(person: Person, red: Team) -> list[ApiKey]:
    bob = person("bob", "admin", red)
    return [
        make_key("bob", "red-one", team=red, owner=bob),
        make_key("robot", "red-one", team=red),
        make_key("alice", "red-one"),
    ]


@pytest.mark.parametrize("what", ["rotate", "revoke"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_anothers_key_is_not_found_like_one_that_does_not_exist(
    browser: Client, person: Person, red: Team, what: str, method: str
) -> None:
    before = [(key.pk, key.issue(), key.state) for key in others(person, red)]
    for number in [*(pk for pk, _, _ in before), 10**9, 10**30]:
        answer = getattr(browser, method)(f"/account/keys/{number}/{what}/", {"overlap": "0", "confirmed": "1"})
        assert answer.status_code == 404
    assert all(find_key(secret) is not None for _, secret, _ in before)
    assert KeySecret.objects.count() == len(before)
    body = browser.get(KEYS).content.decode()
    assert "bob" not in body and "robot" not in body


def test_a_stranger_is_asked_to_sign_in(db: None) -> None:
    for address in (KEYS, ISSUE, f"{KEYS}1/rotate/", f"{KEYS}1/revoke/", "/account/team/red/"):
        for method in ("get", "post"):
            if (method, address) == ("post", KEYS) or (method, address) == ("post", "/account/team/red/"):
                continue
            answer = getattr(Client(), method)(address)
            assert answer.status_code == 302 and answer["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize(
    ("columns", "state"),
    [({"revoked_at": timezone.now()}, "revoked"), ({"expires_at": timezone.now() - timedelta(days=1)}, "expired")],
)
def test_a_key_that_has_ended_is_not_rotated(browser: Client, alice: User, columns: dict[str, Any], state: str) -> None:
    key = make_key("alice", owner=alice, **columns)
    answer = browser.post(path(key, "rotate"), {"overlap": "0"}, follow=True)
    assert f"is {state}; issue a new key instead" in answer.content.decode()
    assert not KeySecret.objects.exists()


def test_rotating_on_and_on_does_not_pile_up_secrets_that_work(browser: Client, alice: User) -> None:
    key = make_key("alice", owner=alice)
    key.issue()
    for _ in range(4):
        shown(browser.post(path(key, "rotate"), {"overlap": "168"}))
    answer = browser.post(path(key, "rotate"), {"overlap": "168"})
    assert "5 secrets of this key work still" in answer.content.decode()
    secret = shown(browser.post(path(key, "rotate"), {"overlap": "0"}))
    assert find_key(secret) == key
    assert sum(one.is_usable(timezone.now()) for one in key.secrets.all()) == 1


def test_texts_that_people_chose_are_escaped(browser: Client, alice: User) -> None:
    hostile = "<script>alert(1)</script>{{7*7}}"
    shown(browser.post(ISSUE, form("red-one", description=hostile)))
    Team.objects.update(name=hostile)
    Namespace.objects.update(description=hostile)
    Membership.objects.update(role="admin")
    for address in (KEYS, ISSUE, path(ApiKey.objects.get(), "revoke"), "/account/team/red/"):
        body = browser.get(address).content.decode()
        assert "<script>alert" not in body
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in body


def test_the_pages_are_strict(browser: Client, alice: User, red: Team) -> None:
    key = make_key("alice", "red-one", owner=alice, team=red)
    key.issue()
    Membership.objects.update(role="admin")
    addresses = (KEYS, ISSUE, path(key, "rotate"), path(key, "revoke"), "/account/team/red/")
    answers = [browser.get(address) for address in addresses] + [browser.post(ISSUE, form("red-one"))]
    for answer in answers:
        assert answer.status_code == 200 and "unsafe" not in answer["Content-Security-Policy"]
        assert "no-cache" in answer["Cache-Control"] or "no-store" in answer["Cache-Control"]
        body = answer.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|\sstyle=|\son[a-z]+=\"|<style", body)
