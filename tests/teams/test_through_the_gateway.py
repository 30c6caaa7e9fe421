"""The whole way through a running gateway: a member issues a key in the browser, calls with it, and loses it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.conftest import Gateways
from tests.gateway import Gateway, wait_for
from tests.teams.conftest import PASSWORD
from tests.upstreams.listening import started

WITHIN_S = 2.0
MAKE_PEOPLE = f"""
from django.contrib.auth.models import User
from keys.models import Membership, Team
for name, role in (("boss", "admin"), ("alice", "member"), ("bob", "member"), ("carol", "member")):
    account = User.objects.create_user(name, f"{{name}}@example.org", {PASSWORD!r})
    Membership.objects.create(team=Team.objects.get(slug="red"), account=account, role=role)
"""


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A gateway of two workers with the team `red`, its namespaces and its people."""
    with started("tests.upstreams.echo_fast") as url, Gateways(request) as start:
        namespaces = {name: {"url": url} for name in ("one", "two", "elsewhere")}
        config = {"namespaces": namespaces, "teams": {"red": {"namespaces": ["one", "two"]}}}
        gateway = start(config=config, workers=2, env={"GATEWAY_PROBE_INTERVAL_S": "0"})
        gateway.manage("shell", "-c", MAKE_PEOPLE)
        yield gateway


class Person:
    """Somebody with a browser."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.client = httpx.Client(base_url=gateway.base, follow_redirects=True, timeout=30)
        answer = self.submit("/accounts/login/", username=name, password=PASSWORD, next="/account/keys/")
        assert answer.url.path == "/account/keys/", answer.text[:2000]

    def submit(self, path: str, page: str = "", **fields: object) -> httpx.Response:
        """Open a page and send its form with the token that stands in it."""
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.client.get(page or path).text)
        assert found is not None
        data = {"csrfmiddlewaretoken": found[1], **fields}
        return self.client.post(path, data=data, headers={"Referer": str(self.client.base_url)})

    def issue(self, *namespaces: str) -> str:
        """Issue a key in the browser and return it."""
        answer = self.submit(
            "/account/keys/issue/", team="red", namespaces=list(namespaces), description="laptop", days="30"
        )
        found = re.search(r'id="secret">([^<]+)<', answer.text)
        assert found is not None, answer.text[:3000]
        return found[1]


def codes(gateway: Gateway, key: str, namespace: str, count: int = 16) -> set[int]:
    """Return the answers' codes of calls on a connection each, so that every worker is asked."""
    return {gateway.call(namespace, key, "tools/list").status_code for _ in range(count)}


def lost(gateway: Gateway, key: str, namespace: str, status: int, take: Callable[[], object], what: str) -> None:
    """Take something away and see that every worker answers `status` soon, and goes on doing so."""
    assert codes(gateway, key, namespace) == {200}
    begun = time.monotonic()
    take()
    taken = time.monotonic()
    wait_for(lambda: codes(gateway, key, namespace, 4) == {status}, 10)
    elapsed = time.monotonic() - taken
    print(f"{what}: refused {elapsed:.2f} s after the change, which took {taken - begun:.2f} s")
    assert elapsed <= WITHIN_S
    assert codes(gateway, key, namespace) == {status}


def account_of(gateway: Gateway, name: str) -> int:
    return int(gateway.query("SELECT id FROM auth_user WHERE username = %s", name)[0][0])


def test_a_key_from_the_page_opens_the_chosen_namespaces_and_no_other(running: Gateway) -> None:
    key = Person(running, "alice").issue("one")
    wait_for(lambda: codes(running, key, "one", 4) == {200}, 10)
    for name in ("two", "elsewhere", "nothing"):
        assert codes(running, key, name, 4) == {404}
    owner = running.query("SELECT user_id, all_namespaces, sees FROM keys_apikey")
    assert owner == [("alice", False, "own")]


@pytest.mark.alone
def test_who_is_taken_out_of_the_team_by_its_admin_is_refused_at_once(running: Gateway) -> None:
    key = Person(running, "bob").issue("one", "two")
    wait_for(lambda: codes(running, key, "one", 4) == {200}, 10)
    boss, path = Person(running, "boss"), f"/account/team/red/members/{account_of(running, 'bob')}/remove/"
    lost(running, key, "one", 401, lambda: boss.submit(path), "a member is removed on the team's page")


@pytest.mark.alone
def test_a_namespace_that_leaves_the_team_by_plain_sql_is_gone_for_its_keys(running: Gateway) -> None:
    key = Person(running, "carol").issue("one", "two")
    wait_for(lambda: codes(running, key, "two", 4) == {200}, 10)
    statement = (
        "DELETE FROM keys_teamnamespace USING namespaces_namespace n WHERE n.id = namespace_id AND n.slug = 'two'"
    )
    lost(running, key, "two", 404, lambda: running.query(statement), "a namespace leaves the team in SQL")
    assert codes(running, key, "one") == {200}


@pytest.mark.alone
def test_a_disabled_account_has_no_key_any_more(running: Gateway) -> None:
    person = Person(running, "carol")
    key = person.issue("one")
    wait_for(lambda: codes(running, key, "one", 4) == {200}, 10)
    statement = "UPDATE auth_user SET is_active = false WHERE username = 'carol'"
    lost(running, key, "one", 401, lambda: running.query(statement), "an account is disabled in SQL")
    assert person.client.get("/account/keys/").url.path == "/accounts/login/"


def test_nothing_of_it_leaves_a_key_or_a_token_in_the_log(running: Gateway) -> None:
    key = Person(running, "alice").issue("one")
    running.get("/accounts/reset/MQ/czk1ab-0123456789abcdef0123456789abcdef/")
    wait_for(lambda: "/accounts/reset/MQ/" in running.output(), 10)
    assert key not in running.output() and "czk1ab-0123456789" not in running.output()
    assert "Traceback" not in running.output()
