"""Teams in configuration files: what an import makes of them, what it takes from keys, and what it refuses."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.exporting import Exporter
from gateway_project.configuration.importing import Imported, import_file
from keys.models import ApiKey, Membership, Team, TeamNamespace
from namespaces.models import Namespace
from tests.teams.conftest import make_key

Person = Callable[..., User]
KEY = "a-key-of-the-tests-0123456789"


def take_in(config: dict[str, Any] | str, **options: Any) -> Imported:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as stream:
        stream.write(config if isinstance(config, str) else yaml.safe_dump(config))
        stream.flush()
        return import_file(stream.name, **options)


def problems(config: dict[str, Any], **options: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        take_in(config, **options)
    return [str(problem).partition(": ")[2] if problem.line else str(problem) for problem in caught.value.problems]


def lines(result: Imported) -> list[str]:
    return [str(change).splitlines()[0] for change in result.changes]


def a_key(**fields: Any) -> dict[str, Any]:
    return {"user_id": "alice", "key": KEY, **fields}


FULL = {
    "namespaces": {"green-one": {"url": "https://one.example.com/mcp"}},
    "teams": {
        "green": {
            "name": "Green",
            "description": "They grow things.",
            "members": {"alice": "admin", "bob": "member"},
            "namespaces": ["green-one"],
        }
    },
    "keys": [a_key(team="green", owner="alice", sees="team", namespaces=["green-one"])],
}


@pytest.fixture
def people(person: Person) -> dict[str, User]:
    """Two accounts."""
    return {name: person(name) for name in ("alice", "bob")}


def test_a_file_makes_a_team_with_its_members_namespaces_and_keys(people: dict[str, User]) -> None:
    assert take_in(FULL).warnings == []
    team = Team.objects.get()
    assert (team.slug, team.name, team.description) == ("green", "Green", "They grow things.")
    roles = {one.account.username: one.role for one in team.memberships.all()}
    assert roles == {"alice": "admin", "bob": "member"}
    assert [one.namespace.slug for one in team.namespaces.all()] == ["green-one"]
    key = ApiKey.objects.get()
    assert (key.team, key.owner, key.sees) == (team, people["alice"], "team")
    assert take_in(FULL).changes == []
    again = yaml.safe_load(Exporter().text())
    assert again["teams"] == FULL["teams"]
    assert [again["keys"][0][name] for name in ("team", "owner", "sees")] == ["green", "alice", "team"]


def test_what_a_file_does_not_say_stays(people: dict[str, User]) -> None:
    take_in(FULL)
    before = Exporter().text()
    take_in({"teams": {"green": {}}, "keys": [a_key()]})
    assert Exporter().text() == before


def test_null_takes_team_and_owner_away(people: dict[str, User]) -> None:
    take_in(FULL)
    result = take_in({"keys": [a_key(team=None, owner=None, sees="own")]})
    assert "team: green → none" in str(result) and "owner: alice → none" in str(result)
    key = ApiKey.objects.get()
    assert (key.team, key.owner, key.sees, key.state) == (None, None, "own", "active")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"teams": {"green": {"members": {"alicia": "admin"}}}},
         "teams.green.members.alicia: no account is called 'alicia'; did you mean alice?"),
        ({"teams": {"green": {"members": {"zed": "admin"}}}},
         "teams.green.members.zed: no account is called 'zed'; make it first"),
        ({"teams": {"green": {"members": {"alice": "owner"}}}},
         "teams.green.members.alice: Value 'owner' is not a valid choice."),
        ({"teams": {"green": {"members": {"alice": None}}}},
         "teams.green.members.alice: is missing; write admin, auditor, member"),
        ({"teams": {"green": {"members": ["alice"]}}},
         "teams.green.members: must be a mapping (name: value), not a list"),
        ({"teams": {"green": {"namespaces": ["gren-one"]}}},
         "teams.green.namespaces: no namespace is called 'gren-one'; did you mean green-one?"),
        ({"teams": {"green": {"namespaces": ["green-one"]}, "mint": {"namespaces": ["green-one"]}}},
         "teams.mint.namespaces: a namespace belongs to one team, and teams.green has one of these already"),
        ({"teams": {"green": {"nam": "x"}}}, "teams.green.nam: unknown field; did you mean name?"),
        ({"keys": [a_key(owner="nobody")]}, "keys[0].owner: no account is called 'nobody'; make it first"),
        ({"keys": [a_key(team="gren")]}, "keys[0].team: no team is called 'gren'; did you mean green?"),
        ({"keys": [a_key(sees="everything")]}, "keys[0].sees: Value 'everything' is not a valid choice."),
        ({"keys": [a_key(key=f"{KEY}-2", sees="team")]}, "keys[0]: a key that sees its team's calls needs a team"),
        ({"keys": [a_key(team=None)]}, "keys[0]: a key that sees its team's calls needs a team"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(
    people: dict[str, User], change: dict[str, Any], problem: str
) -> None:
    take_in(FULL)
    before = Exporter().text()
    assert problems(change) == [problem]
    assert Exporter().text() == before


@pytest.mark.parametrize("slug", ["Green", "a b", "a__b", "x" * 65])
def test_a_team_needs_a_name_that_can_stand_in_an_address(people: dict[str, User], slug: str) -> None:
    found = problems({"teams": {slug: {}}})
    assert found and "lower-case letters" in found[0]
    assert not Team.objects.exists()


def test_a_variable_that_names_nobody_is_not_repeated(people: dict[str, User], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "s3cret-name")
    found = problems({"keys": [a_key(owner="${WHO}")]})
    assert found == ["keys[0].owner: no account is called ••••; make it first"]


def test_who_is_left_out_of_the_members_loses_the_keys_and_the_import_says_so(people: dict[str, User]) -> None:
    take_in(FULL)
    bobs = make_key("bob", "green-one", team=Team.objects.get(), owner=people["bob"])
    smaller = {"teams": {"green": {"members": {"alice": "auditor"}}}}
    dry = take_in(smaller, dry_run=True)
    assert lines(dry) == ["~ teams.green.members.alice", "- teams.green.members.bob"]
    assert [problem.message for problem in dry.warnings] == [
        "who leaves a team loses the keys held for it: 1 of bob will be revoked"
    ]
    assert bobs.state == "active" and Membership.objects.count() == 2
    take_in(smaller)
    bobs.refresh_from_db()
    assert bobs.state == "revoked" and ApiKey.objects.get(user_id="alice").state == "active"
    assert take_in(smaller).changes == []


def test_a_key_that_changes_its_team_in_the_same_file_outlives_the_membership(people: dict[str, User]) -> None:
    take_in(FULL)
    moved = {
        "teams": {"green": {"members": {"bob": "admin"}}, "mint": {"members": {"alice": "member"}}},
        "keys": [a_key(team="mint")],
    }
    take_in(moved)
    key = ApiKey.objects.get()
    assert (key.team.slug, key.state) == ("mint", "active")
    assert take_in(moved).changes == []


def test_a_namespace_that_moves_takes_its_grants_along_and_the_diff_shows_it(people: dict[str, User]) -> None:
    take_in(FULL)
    moved = {"teams": {"mint": {"namespaces": ["green-one"]}}}
    wanted = ["+ teams.mint", "~ teams.mint.namespaces.green-one", "- keys.alice (a-key-o…).grants.green-one"]
    assert lines(take_in(moved, dry_run=True)) == wanted
    take_in(moved)
    assert TeamNamespace.objects.get().team.slug == "mint" and not ApiKey.objects.get().grants.exists()
    assert take_in(moved).changes == []


@pytest.mark.parametrize("moved", [{"mint": {"namespaces": ["green-one"]}}, {"green": {"namespaces": []}}])
def test_a_grant_that_the_file_lists_is_there_after_its_namespace_has_left_the_team(
    people: dict[str, User], moved: dict[str, Any]
) -> None:
    take_in(FULL)
    config = {"teams": moved, "keys": [a_key(namespaces=["green-one"])]}
    take_in(config)
    assert [grant.namespace.slug for grant in ApiKey.objects.get().grants.all()] == ["green-one"]
    assert take_in(config).changes == []


def test_prune_removes_teams_that_the_file_leaves_out_unless_keys_belong_to_them(people: dict[str, User]) -> None:
    take_in(FULL)
    other = {"teams": {"mint": {}}}
    assert take_in(other).changes and Team.objects.count() == 2  # nothing is deleted without --prune
    found = problems(other, prune=True)
    assert found == ["teams.green: 1 of its keys stay, so it cannot be removed; list it, or list keys"]
    assert lines(take_in({"namespaces": FULL["namespaces"]}, prune=True)) == []  # it does not speak of teams
    result = take_in(other | {"keys": [a_key(team="mint")]}, prune=True)
    assert "- teams.green" in lines(result)
    assert [team.slug for team in Team.objects.all()] == ["mint"]
    assert ApiKey.objects.get().state == "active" and Namespace.objects.filter(slug="green-one").exists()
    take_in({"teams": {}, "keys": []}, prune=True)
    assert not Team.objects.exists() and not ApiKey.objects.exists()
