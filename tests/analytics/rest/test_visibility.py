"""Whose calls a caller sees (M16): every endpoint answers as if what the caller may not see had never happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from keys.models import ApiKey, Grant, Membership, Sees, Team, TeamNamespace
from namespaces.models import Namespace
from tests.analytics.rest.walk import CALL_ID, OF_THE_LOG, PATHS, TABLES
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db

AT = datetime.now(UTC) - timedelta(hours=1)
BETWEEN = {
    "from": f"{AT - timedelta(hours=4):%Y-%m-%dT%H:%M:%SZ}",
    "to": f"{AT + timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}",
}
OTHER_ID = "0192f0c1-0000-4000-8000-00000000000f"
HIDDEN = {
    "user_id": "hidden-user",
    "tool": "hidden-tool",
    "upstream": "hidden-upstream",
    "client_name": "hidden-client",
}
WITH_PERIOD = [path for path in OF_THE_LOG if not path.endswith(CALL_ID)]


class World:
    """A team with the namespace `demo`, a namespace of nobody's team, and alice, whose key may use both."""

    def __init__(self) -> None:
        self.demo = Namespace.objects.create(slug="demo")
        self.other = Namespace.objects.create(slug="other")
        self.team = Team.objects.create(slug="team")
        TeamNamespace.objects.create(team=self.team, namespace=self.demo)

    def account(self, name: str, role: str = "", **fields: Any) -> Client:
        account = User.objects.create_user(name, **fields)
        if role:
            Membership.objects.create(team=self.team, account=account, role=role)
        client = Client()
        client.force_login(account)
        return client

    def key(self, user: str, *namespaces: Namespace, **fields: Any) -> Client:
        key = ApiKey.objects.create(user_id=user, all_namespaces=not namespaces, **fields)
        for namespace in namespaces:
            Grant.objects.create(key=key, namespace=namespace)
        return Client(headers={"X-API-Key": key.issue()})

    def holder(self) -> Client:
        """Return a member of the team who holds a key of alice's."""
        client = self.account("holder", "member")
        ApiKey.objects.create(user_id="alice", owner=User.objects.get(username="holder"), all_namespaces=True)
        return client


# Each caller, and what of the two hidden calls it must not see: those of other users in `demo`, those in `other`.
CALLERS: dict[str, tuple[Callable[[World], Client], bool, bool]] = {
    "a key": (lambda world: world.key("alice"), True, True),
    "a key of one namespace": (lambda world: world.key("alice", world.demo), True, True),
    "a key for its team": (lambda world: world.key("alice", team=world.team, sees=Sees.TEAM), False, True),
    "a foreign key": (lambda world: world.key("carol"), True, True),
    "a member": (World.holder, True, True),
    "an auditor": (lambda world: world.account("auditor", "auditor"), False, True),
    "an admin of the team": (lambda world: world.account("admin", "admin"), False, True),
    "staff without the right": (lambda world: world.account("clerk", is_staff=True), True, True),
    "an account without a team": (lambda world: world.account("visitor"), True, True),
}


def told(client: Client, path: str, **parameters: str) -> tuple[int, str]:
    """Return status and text of an answer, without what differs from one request to the next."""
    answer = client.get(path, BETWEEN | parameters if path in WITH_PERIOD else parameters)
    text = b"".join(answer).decode()
    return answer.status_code, re.sub(r"attachment; filename=.*", "", text)


def log_seen() -> None:
    log_row(AT, id=CALL_ID)
    log_row(AT, outcome="timeout", reason="first_byte_timeout")


@pytest.mark.parametrize("path", WITH_PERIOD)
@pytest.mark.parametrize("name", list(CALLERS))
def test_hidden_calls_change_no_answer(path: str, name: str) -> None:
    make, others_hidden, elsewhere_hidden = CALLERS[name]
    client = make(World())
    log_seen()
    formats = ["json", "csv"] if path in TABLES else ["json"]
    before = [told(client, path, format=format) for format in formats]
    assert {status for status, _ in before} <= {200, 404}
    if others_hidden:
        log_row(AT, **HIDDEN, key_id=991, outcome="timeout")
    if elsewhere_hidden:
        user = {} if others_hidden else {"user_id": "hidden-user"}
        log_row(
            AT, **(HIDDEN | user | {"namespace": "hidden-ns"}), key_id=992, outcome="denied", reason="hidden_reason"
        )
    assert [told(client, path, format=format) for format in formats] == before


@pytest.mark.parametrize("path", WITH_PERIOD)
def test_who_sees_everything_sees_them(staff: Client, path: str) -> None:
    log_seen()
    before = told(staff, path)
    log_row(
        AT, **HIDDEN | {"user_id": "alice", "namespace": "hidden-ns"}, key_id=991, outcome="denied", reason="hidden"
    )
    assert told(staff, path) != before


@pytest.mark.parametrize("path", WITH_PERIOD)
@pytest.mark.parametrize("name", list(CALLERS))
def test_a_hidden_namespace_answers_like_one_that_does_not_exist(path: str, name: str) -> None:
    make, _, _ = CALLERS[name]
    client = make(World())
    log_seen()
    log_row(AT, **HIDDEN | {"namespace": "other"}, key_id=992)
    assert told(client, path, namespace="other") == told(client, path, namespace="no-such-namespace")


@pytest.mark.parametrize("name", list(CALLERS))
def test_another_users_usage_and_call_are_not_found_like_what_does_not_exist(name: str) -> None:
    make, _, _ = CALLERS[name]
    client = make(World())
    log_row(AT, **HIDDEN | {"namespace": "other"}, id=OTHER_ID)
    assert told(client, "/analytics/usage/hidden-user") == told(client, "/analytics/usage/no-such-user")
    assert told(client, "/analytics/usage/hidden-user")[0] == 404
    assert told(client, f"/api/v1/requests/{OTHER_ID}") == told(client, f"/api/v1/requests/{CALL_ID}")
    assert told(client, f"/api/v1/requests/{OTHER_ID}")[0] == 404


def test_an_own_call_is_found_and_only_overseers_learn_its_address() -> None:
    world = World()
    log_row(AT, id=CALL_ID, client_address="192.0.2.9")
    addresses = {}
    for name, (make, _, _) in CALLERS.items():
        answer = make(world).get(f"/api/v1/requests/{CALL_ID}")
        addresses[name] = answer.json()["clientAddress"] if answer.status_code == 200 else "none"
    assert addresses == {
        "a key": None,
        "a key of one namespace": None,
        "a key for its team": None,
        "a foreign key": "none",
        "a member": None,
        "an auditor": "192.0.2.9",
        "an admin of the team": "192.0.2.9",
        "staff without the right": "none",
        "an account without a team": "none",
    }


@pytest.mark.parametrize("format", ["json", "csv"])
def test_the_log_shows_addresses_to_overseers_only(format: str) -> None:
    world = World()
    log_row(AT, client_address="192.0.2.9")
    for name, (make, _, _) in CALLERS.items():
        _, text = told(make(world), "/api/v1/requests", format=format)
        assert ("192.0.2.9" in text) == (name in ("an auditor", "an admin of the team")), name


def test_mine_narrows_to_the_callers_own_calls() -> None:
    world = World()
    log_row(AT)
    log_row(AT, user_id="bob")
    client = world.account("lead", "admin")
    ApiKey.objects.create(user_id="alice", owner=User.objects.get(username="lead"), all_namespaces=True)
    for path in ("/analytics/usage", "/api/v1/requests"):
        assert "bob" in told(client, path)[1]
        assert "bob" not in told(client, path, mine="true")[1] and "alice" in told(client, path, mine="true")[1]
    assert client.get("/analytics/usage/bob").status_code == 200
    assert client.get("/analytics/usage/bob?mine=true").status_code == 404


def test_another_teams_key_that_calls_here_is_a_number_only() -> None:
    world = World()
    client = world.account("auditor", "auditor")
    own = ApiKey.objects.create(user_id="alice", team=world.team, description="laptop")
    foreign = ApiKey.objects.create(user_id="bob", description="the board's secret project")
    log_row(AT, key_id=own.pk)
    log_row(AT, key_id=foreign.pk, user_id="bob")
    rows = {row["key_id"]: row for row in client.get("/analytics/keys").json()["keys"]}
    assert (rows[own.pk]["description"], rows[own.pk]["state"]) == ("laptop", "active")
    assert (rows[foreign.pk]["description"], rows[foreign.pk]["state"]) == (None, None)


@pytest.mark.parametrize("path", PATHS)
def test_strangers_and_disabled_accounts_get_nothing(path: str) -> None:
    world = World()
    log_row(AT, id=CALL_ID)
    assert Client().get(path).status_code == 401
    client = world.account("gone", "admin")
    User.objects.update(is_active=False)
    assert client.get(path).status_code in (401, 403)
