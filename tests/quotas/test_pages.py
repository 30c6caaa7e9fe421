"""Quotas in the admin and on the page of quotas: what is refused, what is shown, and to whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from keys.models import ApiKey, Quota, QuotaUse, Team
from keys.quota_models import period_of
from namespaces.models import ConfigurationChange, Namespace

pytestmark = pytest.mark.django_db
LIST, ADD, PAGE = reverse("admin:keys_quota_changelist"), reverse("admin:keys_quota_add"), reverse("dashboard:quotas")


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin() -> Client:
    return browser(User.objects.create_superuser("ada"))


def form(**fields: Any) -> dict[str, Any]:
    data = {
        "slug": "trial",
        "description": "",
        "enabled": "on",
        "namespace": "",
        "tools": "",
        "user_id": "",
        "team": "",
    }
    data |= {"counted": "each_key", "measure": "calls", "period": "day", "amount": "500", "warn_percent": "80"}
    return data | {"hard": "on"} | fields


def use(quota: Quota, spender: str, used: int) -> None:
    begins = period_of(quota.period, datetime.now(UTC))[0]
    QuotaUse.objects.create(quota=quota, spender=spender, unit=quota.unit, begins=begins, used=used)


def test_a_quota_is_made_and_changed_and_the_workers_are_told(admin: Client) -> None:
    namespace, team = Namespace.objects.create(slug="docs"), Team.objects.create(slug="red")
    before = ConfigurationChange.objects.count()
    key = ApiKey.objects.create(user_id="bob")
    fields = {"namespace": namespace.pk, "team": team.pk, "tools": "search\nfind_*", "user_id": " bob "}
    assert admin.post(ADD, form(key=key.pk, **fields)).status_code == 302
    quota = Quota.objects.get()
    assert quota.key == key
    assert (quota.namespace, quota.team, quota.tools, quota.user_id) == (namespace, team, ["search", "find_*"], "bob")
    assert ConfigurationChange.objects.count() > before
    page = reverse("admin:keys_quota_change", args=[quota.pk])
    assert admin.post(page, form(amount="7", period="month", measure="response_bytes")).status_code == 302
    quota.refresh_from_db()
    assert (quota.amount, quota.unit, quota.namespace, quota.key) == (7, "response_bytes/month", None, None)


def test_counters_tell_no_worker(admin: Client) -> None:
    quota = Quota.objects.create(slug="trial", amount=5)
    before = ConfigurationChange.objects.count()
    use(quota, "", 3)
    QuotaUse.objects.update(used=4)
    QuotaUse.objects.all().delete()
    assert ConfigurationChange.objects.count() == before


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"slug": "Not So"}, "slug"),
        ({"amount": ""}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": str(10**16)}, "amount"),
        ({"warn_percent": "0"}, "warn_percent"),
        ({"warn_percent": "101"}, "warn_percent"),
        ({"period": "hour"}, "period"),
        ({"measure": "tokens"}, "measure"),
        ({"tools": "a**********b"}, "tools"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(admin: Client, fields: dict[str, str], where: str) -> None:
    response = admin.post(ADD, form(**fields))
    assert response.status_code == 200 and where in response.context["adminform"].form.errors
    assert not Quota.objects.exists()


def test_the_admin_lists_what_is_used_and_deletes_the_counters_too(admin: Client) -> None:
    quota = Quota.objects.create(slug="trial", amount=5000)
    Quota.objects.create(slug="bytes", amount=10**9, measure="response_bytes", period="month", hard=False)
    use(quota, "key:1", 1200)
    use(quota, "key:2", 34)
    body = admin.get(LIST).content.decode()
    for text in ("5,000 calls a day", "1,234", "1,000,000,000 bytes a month", "only warns", "in force"):
        assert text in body, text
    page = reverse("admin:keys_quota_delete", args=[quota.pk])
    assert admin.post(page, {"post": "yes"}).status_code == 302
    assert not QuotaUse.objects.exists()


class People:
    """Two teams with a namespace, a person and a key each, an auditor of one of them, and quotas of every kind."""

    def __init__(self) -> None:
        self.teams = {name: Team.objects.create(slug=name) for name in ("red", "blue")}
        self.people = {name: User.objects.create_user(name) for name in ("alice", "bob", "carol")}
        for person, team, role in (("alice", "red", "member"), ("bob", "blue", "member"), ("carol", "red", "auditor")):
            self.teams[team].memberships.create(account=self.people[person], role=role)
        self.keys = {}
        for person, team in (("alice", "red"), ("bob", "blue")):
            namespace = Namespace.objects.create(slug=f"{team}-one")
            self.teams[team].namespaces.create(namespace=namespace)
            key = ApiKey.objects.create(user_id=person, owner=self.people[person], team=self.teams[team])
            key.grants.create(namespace=namespace)
            self.keys[person] = key
        each = {
            name: Quota.objects.create(slug=name, amount=100, counted=f"each_{name}")
            for name in ("key", "user", "team")
        }
        for person, team in (("alice", "red"), ("bob", "blue")):
            use(each["key"], f"key:{self.keys[person].pk}", 85)
            use(each["user"], f"user:{person}", 100)
            use(each["team"], f"team:{self.teams[team].pk}", 10)
        for team in self.teams:
            namespace = Namespace.objects.get(slug=f"{team}-one")
            Quota.objects.create(
                slug=f"{team}-tools", amount=50, counted="together", namespace=namespace, tools=["hush_*"]
            )
        Quota.objects.create(slug="all", amount=1000, counted="together")

    def shown(self, name: str) -> set[tuple[str, str]]:
        """Return the (quota, spender) pairs that a person sees."""
        rows = browser(self.people[name]).get(PAGE).context["rows"]
        return {(row.quota.slug, row.spender) for row in rows}


def test_people_see_their_own_their_teams_and_what_they_share() -> None:
    people = People()
    alice = {("key", str(people.keys["alice"])), ("user", "alice"), ("team", "red")}
    together = {("red-tools", "everybody together"), ("all", "everybody together")}
    assert people.shown("alice") == alice | together
    assert people.shown("carol") == alice | together  # she audits the team
    bob = {("key", str(people.keys["bob"])), ("user", "bob"), ("team", "blue")}
    assert people.shown("bob") == bob | {("blue-tools", "everybody together"), ("all", "everybody together")}


def test_what_is_for_one_key_is_shown_to_who_holds_or_oversees_it() -> None:
    people = People()
    Quota.objects.create(slug="one", amount=50, counted="together", key=people.keys["alice"])
    for name, sees in (("alice", True), ("carol", True), ("bob", False)):
        assert (("one", str(people.keys["alice"])) in people.shown(name)) is sees, name
        assert ("one" in {slug for slug, _ in people.shown(name)}) is sees, name


def test_administrators_see_all_and_strangers_nothing(admin: Client) -> None:
    People()
    assert len(admin.get(PAGE).context["rows"]) == 9
    nobody = browser(User.objects.create_user("nobody"))
    assert {row.quota.slug for row in nobody.get(PAGE).context["rows"]} == {"all"}
    assert Client().get(PAGE).status_code == 302
    gone = browser(User.objects.create_user("gone"))
    User.objects.filter(username="gone").update(is_active=False)
    assert gone.get(PAGE).status_code == 302


def test_the_page_says_how_it_stands_and_names_no_tool() -> None:
    people = People()
    body = browser(people.people["alice"]).get(PAGE).content.decode()
    for text in (
        "nearly used up",
        "used up",
        "85 %",
        "calls a day of some tools in red-one",
        "fine",
        'aria-current="page">Quotas',
    ):
        assert text in body, text
    assert "hush_" not in body and "blue" not in body and "bob" not in body


def test_only_the_period_that_runs_counts(admin: Client) -> None:
    quota = Quota.objects.create(slug="trial", amount=100)
    QuotaUse.objects.create(quota=quota, spender="", unit="calls/day", begins="2020-01-01", used=99)
    QuotaUse.objects.create(quota=quota, spender="key:1", unit="calls/month", begins=datetime.now(UTC).date(), used=99)
    assert admin.get(PAGE).context["rows"] == []
