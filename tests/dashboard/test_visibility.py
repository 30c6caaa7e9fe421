"""Who sees whose calls: members their own, auditors their team's, administrators all; the rest answers 404 alike."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from keys.models import ApiKey, Membership, Team, TeamNamespace
from namespaces.models import Namespace
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db
# namespace, user, tool, upstream of one call each; red belongs to the team
CALLS = [
    ("red", "alice", "red-alice-tool", "red-server"),
    ("red", "bob", "red-bob-tool", "red-server"),
    ("blue", "alice", "blue-alice-tool", "blue-server"),
    ("blue", "carla", "blue-carla-tool", "blue-server"),
]
SignIn = Callable[[User], Client]


@pytest.fixture
def rows(db: None) -> dict[str, Any]:
    """A log with a call of everybody, and keys: alice's belongs to the account of that name."""
    red = Namespace.objects.create(slug="red")
    Namespace.objects.create(slug="blue")
    team = Team.objects.create(slug="reds")
    TeamNamespace.objects.create(team=team, namespace=red)
    accounts = {name: User.objects.create_user(name) for name in ("alice", "olga", "eve")}
    accounts["boss"] = User.objects.create_superuser("boss")
    Membership.objects.create(team=team, account=accounts["alice"], role="member")
    Membership.objects.create(team=team, account=accounts["olga"], role="auditor")
    keys = {}
    for name in ("alice", "bob", "carla"):
        keys[name] = ApiKey.objects.create(
            user_id=name, owner=accounts.get(name), team=team if name == "alice" else None
        )
        keys[name].grants.create(namespace=red)
    at = datetime.now(UTC) - timedelta(minutes=9)
    calls = {
        tool: log_row(
            at,
            namespace=namespace,
            user_id=user,
            tool=tool,
            upstream=upstream,
            key_id=keys[user].pk,
            client_address="192.0.2.7",
        )
        for namespace, user, tool, upstream in CALLS
    }
    return {"accounts": accounts, "keys": keys, "calls": calls}


SEEN = {
    "boss": {"red-alice-tool", "red-bob-tool", "blue-alice-tool", "blue-carla-tool"},
    "olga": {"red-alice-tool", "red-bob-tool"},
    "alice": {"red-alice-tool"},
    "eve": set(),
}
PAGES = ("/dashboard/", "/dashboard/tools/", "/dashboard/requests/", "/dashboard/users/", "/dashboard/upstreams/")


@pytest.mark.parametrize("name", SEEN)
def test_lists_show_what_the_person_may_see(rows: dict[str, Any], sign_in: SignIn, name: str) -> None:
    client = sign_in(rows["accounts"][name])
    tools = client.get("/dashboard/tools/").content.decode()
    assert {tool for _, _, tool, _ in CALLS if f"<bdi>{tool}</bdi>" in tools} == SEEN[name]
    users = client.get("/dashboard/users/").content.decode()
    assert {user for _, user, tool, _ in CALLS if f"<bdi>{user}</bdi>" in users} == {
        user for _, user, tool, _ in CALLS if tool in SEEN[name]
    }
    for path in PAGES:
        body = client.get(path).content.decode()
        for tool in {tool for _, _, tool, _ in CALLS} - SEEN[name]:
            assert tool not in body, f"{path} tells {name} of {tool}"


def addresses(rows: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Yield the address of each thing, and whose calls are behind it (the tools that stand for calls)."""
    for namespace in ("red", "blue"):
        yield f"/dashboard/namespaces/{namespace}/", {tool for place, _, tool, _ in CALLS if place == namespace}
    for user in ("alice", "bob", "carla"):
        mine = {tool for _, who, tool, _ in CALLS if who == user}
        yield f"/dashboard/users/{user}/", mine
        yield f"/dashboard/keys/{rows['keys'][user].pk}/", mine
    for namespace, _, tool, _ in CALLS:
        yield f"/dashboard/tools/{namespace}/{tool}/", {tool}
        yield f"/dashboard/requests/{uuid.UUID(rows['calls'][tool].id)}/", {tool}
    for server in ("red-server", "blue-server"):
        yield f"/dashboard/upstreams/{server}/", {tool for _, _, tool, upstream in CALLS if upstream == server}


@pytest.mark.parametrize("name", SEEN)
def test_what_may_not_be_seen_is_404_like_what_does_not_exist(rows: dict[str, Any], sign_in: SignIn, name: str) -> None:
    client = sign_in(rows["accounts"][name])
    unknown = [
        "/dashboard/namespaces/nowhere/",
        "/dashboard/users/nobody/",
        "/dashboard/keys/987654/",
        "/dashboard/keys/99999999999999999999999/",
        "/dashboard/tools/red/nothing/",
        "/dashboard/upstreams/nothing/",
        f"/dashboard/requests/{uuid.uuid4()}/",
        "/dashboard/users/a%00b/",
    ]
    bodies = {_body(client, path, 404) for path in unknown}
    assert len(bodies) == 1
    for path, behind in addresses(rows):
        is_known_otherwise = _is_configured(path, rows, name)
        if behind & SEEN[name] or is_known_otherwise:
            body = _body(client, path, 200)
            assert not [tool for _, _, tool, _ in CALLS if tool in body and tool not in SEEN[name]], path
        else:
            assert _body(client, path, 404) in bodies, f"{path} differs from what does not exist"


def _is_configured(path: str, rows: dict[str, Any], name: str) -> bool:
    """Return whether the person knows of the thing without having called it: keys that reach the team's namespace."""
    carla = ("/dashboard/users/carla/", f"/dashboard/keys/{rows['keys']['carla'].pk}/")
    return name == "olga" and path in carla


def _body(client: Client, path: str, status: int) -> str:
    answer = client.get(path)
    assert answer.status_code == status, f"{path}: {answer.status_code}"
    varying = r'<time.*?</time>|csrfmiddlewaretoken" value="\w+| aria-current="\w+"'
    return re.sub(varying, "", answer.content.decode())


def test_mine_narrows_what_an_auditor_sees_to_their_own_calls(rows: dict[str, Any], sign_in: SignIn) -> None:
    client = sign_in(rows["accounts"]["olga"])
    assert b"red-bob-tool" in client.get("/dashboard/tools/").content
    assert b"red-bob-tool" not in client.get("/dashboard/tools/?mine=true").content


def test_only_who_oversees_is_offered_another_perspective(rows: dict[str, Any], sign_in: SignIn) -> None:
    offered = {}
    for name in SEEN:
        body = sign_in(rows["accounts"][name]).get("/dashboard/").content.decode()
        found = re.search(r'aria-label="Whose requests">(.*?)</nav>', body, re.DOTALL)
        offered[name] = re.findall(r">([^<]+)</a>", found[1]) if found else []
    assert offered == {"boss": ["Everything", "My calls"], "olga": ["My team", "My calls"], "alice": [], "eve": []}


@pytest.mark.parametrize(("name", "sees"), [("boss", True), ("olga", True), ("alice", False)])
def test_client_addresses_are_for_administrators_and_auditors(
    rows: dict[str, Any], sign_in: SignIn, name: str, sees: bool
) -> None:
    call = uuid.UUID(str(rows["calls"]["red-alice-tool"].id))
    body = sign_in(rows["accounts"][name]).get(f"/dashboard/requests/{call}/").content.decode()
    assert ("192.0.2.7" in body) is sees and ("Client address" in body) is sees


@pytest.mark.parametrize("name", SEEN)
def test_the_picker_offers_only_namespaces_that_the_person_may_know_of(
    rows: dict[str, Any], sign_in: SignIn, name: str
) -> None:
    body = sign_in(rows["accounts"][name]).get("/dashboard/").content.decode()
    offered = set(re.findall(r'<option value="(\w+)"', body))
    assert offered == {"boss": {"red", "blue"}, "olga": {"red"}, "alice": {"red"}, "eve": set()}[name]


def test_another_namespace_in_the_url_gives_an_empty_page_as_an_unknown_one_does(
    rows: dict[str, Any], sign_in: SignIn
) -> None:
    client = sign_in(rows["accounts"]["alice"])
    for path in PAGES:
        foreign, unknown = (_body(client, f"{path}?namespace={name}", 200) for name in ("blue", "nope"))
        assert foreign.replace("blue", "nope") == unknown
