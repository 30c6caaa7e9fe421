"""What the database itself does when somebody leaves a team or a namespace does, by whatever path it happens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from gateway_project import audit
from keys.models import ApiKey, Grant, Membership, Team, TeamNamespace
from namespaces.models import ConfigurationChange, Namespace
from tests.teams.conftest import make_key

Person = Callable[..., User]


def sql(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def states() -> dict[str, str]:
    return {key.description: key.state for key in ApiKey.objects.all()}


@pytest.fixture
def alice(person: Person, red: Team) -> User:
    """A member with a key for the team, beside keys that are not to be touched."""
    account = person("alice", "member", red)
    other = person("bob", "member", red)
    make_key("alice", "red-one", "red-two", team=red, owner=account, description="hers")
    make_key("alice", "red-one", owner=account, description="hers without a team")
    make_key("bob", "red-one", team=red, owner=other, description="his")
    make_key("robot", "red-one", team=red, description="the team's")
    return account


LEAVING: dict[str, Callable[[User], object]] = {
    "delete": lambda alice: Membership.objects.get(account=alice).delete(),
    "query set": lambda alice: Membership.objects.filter(account=alice).delete(),
    "sql": lambda alice: sql("DELETE FROM keys_membership WHERE account_id = %s", alice.pk),
    "another team": lambda alice: Membership.objects.filter(account=alice).update(
        team=Team.objects.create(slug="green")
    ),
    "another person": lambda alice: Membership.objects.filter(account=alice).update(
        account=User.objects.create_user("carol")
    ),
}


@pytest.mark.parametrize("path", LEAVING)
def test_who_leaves_a_team_loses_the_keys_held_for_it_and_nobody_else_does(alice: User, path: str) -> None:
    before = ConfigurationChange.objects.count()
    LEAVING[path](alice)
    assert states() == {"hers": "revoked", "hers without a team": "active", "his": "active", "the team's": "active"}
    assert ConfigurationChange.objects.count() > before  # the workers are told


def test_another_role_costs_no_key(alice: User) -> None:
    Membership.objects.filter(account=alice).update(role="admin")
    assert set(states().values()) == {"active"}


def test_a_key_that_was_revoked_before_keeps_its_time(alice: User) -> None:
    key = ApiKey.objects.get(description="hers")
    key.revoke()
    Membership.objects.filter(account=alice).delete()
    assert ApiKey.objects.get(pk=key.pk).revoked_at == key.revoked_at


MOVING: dict[str, Callable[[], object]] = {
    "delete": lambda: TeamNamespace.objects.get(namespace__slug="red-one").delete(),
    "another team": lambda: TeamNamespace.objects.filter(namespace__slug="red-one").update(
        team=Team.objects.create(slug="green")
    ),
    "sql": lambda: sql(
        "DELETE FROM keys_teamnamespace USING namespaces_namespace n WHERE n.id = namespace_id AND n.slug = 'red-one'"
    ),
}


@pytest.mark.parametrize("path", MOVING)
def test_a_namespace_that_leaves_a_team_leaves_its_keys_alone(alice: User, path: str) -> None:
    MOVING[path]()
    granted = Grant.objects.order_by("namespace__slug").values_list("key__description", "namespace__slug")
    assert list(granted) == [("hers without a team", "red-one"), ("hers", "red-two")]
    assert set(states().values()) == {"active"}


@pytest.mark.parametrize("by_sql", [False, True])
def test_a_disabled_account_loses_its_keys_for_good(alice: User, by_sql: bool) -> None:
    if by_sql:
        sql("UPDATE auth_user SET is_active = false WHERE id = %s", alice.pk)
    else:
        User.objects.filter(pk=alice.pk).update(is_active=False)
    assert states() == {"hers": "revoked", "hers without a team": "revoked", "his": "active", "the team's": "active"}
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert states()["hers"] == "revoked"


@pytest.mark.parametrize("by_sql", [False, True])
def test_the_keys_of_a_deleted_account_stay_on_the_list_revoked_and_without_an_owner(alice: User, by_sql: bool) -> None:
    if by_sql:
        sql("DELETE FROM keys_membership WHERE account_id = %s", alice.pk)
        sql("DELETE FROM auth_user WHERE id = %s", alice.pk)
    else:
        alice.delete()
    connection.check_constraints()
    assert states() == {"hers": "revoked", "hers without a team": "revoked", "his": "active", "the team's": "active"}
    assert not ApiKey.objects.filter(user_id="alice", owner__isnull=False).exists()


def test_a_team_with_keys_is_not_deleted(alice: User, red: Team) -> None:
    with pytest.raises(ProtectedError):
        red.delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        sql("DELETE FROM keys_teamnamespace")
        sql("DELETE FROM keys_membership")
        sql("DELETE FROM keys_team WHERE id = %s", red.pk)
        connection.check_constraints()
    ApiKey.objects.update(team=None)
    red.delete()
    assert not Membership.objects.exists() and Namespace.objects.filter(slug="red-one").exists()


def refused(statement: str, *parameters: object) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        sql(statement, *parameters)


def test_the_rules_of_the_tables_hold_in_plain_sql(alice: User, red: Team, blue: Team) -> None:
    refused("INSERT INTO keys_membership (team_id, account_id, role) VALUES (%s, %s, 'admin')", red.pk, alice.pk)
    refused("INSERT INTO keys_membership (team_id, account_id, role) VALUES (%s, %s, 'owner')", blue.pk, alice.pk)
    namespace = Namespace.objects.get(slug="red-one")
    refused("INSERT INTO keys_teamnamespace (team_id, namespace_id) VALUES (%s, %s)", blue.pk, namespace.pk)
    refused("UPDATE keys_team SET slug = 'Not A Name' WHERE id = %s", red.pk)
    refused("UPDATE keys_apikey SET sees = 'more'")
    refused("UPDATE keys_apikey SET sees = 'team' WHERE description = 'hers without a team'")


def test_all_of_it_is_on_the_audit_trail(alice: User) -> None:
    Membership.objects.filter(account=alice).delete()
    TeamNamespace.objects.filter(namespace__slug="red-one").delete()
    found = [(entry.kind, entry.action, entry.title) for entry in audit.entries(audit.Filters(), audit.tracked(), 200)]
    key = ApiKey.objects.get(description="hers")
    for wanted in (
        ("team", "added", "red"),
        ("teammembership", "added", "alice in red"),
        ("teammembership", "deleted", "alice in red"),
        ("teamnamespace", "added", "red-one in red"),
        ("teamnamespace", "deleted", "red-one in red"),
        ("apikey", "changed", f"alice #{key.pk}"),
        ("grant", "deleted", f"alice #{key.pk} → red-one"),
    ):
        assert wanted in found
    added = audit.entries(audit.Filters(kind="apikey", object_id=str(key.pk), label="insert"), audit.tracked(), 1)[0]
    told = {change.field: change.after for change in added.changes}
    assert (told["team"], told["owner"], told["sees"]) == ("red", "alice", "own")
