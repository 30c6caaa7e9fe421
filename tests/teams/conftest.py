"""Fixtures of the team tests: two teams with a namespace each, and a person for every role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.test import Client

from keys.models import ApiKey, Membership, Team, TeamNamespace
from namespaces.models import Mount, Namespace, Upstream

PASSWORD = "a-password-of-the-tests"


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    """Let no test inherit another's failed attempts."""
    caches["ratelimit"].clear()


@pytest.fixture
def person(db: None) -> Callable[..., User]:
    """Return a function that makes an account; it is added to `team` in `role` when those are given."""

    def made(name: str, role: str = "", team: Team | None = None, **columns: Any) -> User:
        account = User.objects.create_user(name, f"{name}@example.org", PASSWORD, **columns)
        if team is not None:
            Membership.objects.create(team=team, account=account, role=role)
        return account

    return made


@pytest.fixture
def red(db: None) -> Team:
    """A team with the namespaces `red-one` and `red-two`."""
    return make_team("red", "red-one", "red-two")


@pytest.fixture
def blue(db: None) -> Team:
    """A team with the namespace `blue-one`."""
    return make_team("blue", "blue-one")


def make_team(slug: str, *namespaces: str) -> Team:
    """Make a team and its namespaces, each mounting one upstream."""
    team = Team.objects.create(slug=slug, name=slug.title())
    upstream, _ = Upstream.objects.get_or_create(slug="files", defaults={"url": "http://127.0.0.1:47/mcp"})
    for name in namespaces:
        namespace = Namespace.objects.create(slug=name)
        Mount.objects.create(namespace=namespace, upstream=upstream)
        TeamNamespace.objects.create(team=team, namespace=namespace)
    return team


def make_key(user_id: str, *namespaces: str, **columns: Any) -> ApiKey:
    """Make a key that is granted the named namespaces."""
    key = ApiKey.objects.create(user_id=user_id, **columns)
    for name in namespaces:
        key.grants.create(namespace=Namespace.objects.get(slug=name))
    return key


def right(name: str) -> Permission:
    """Return a permission by its name, such as `keys.view_apikey`."""
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


def signed_in(account: User, **options: Any) -> Client:
    """Return the browser of an account."""
    client = Client(**options)
    client.force_login(account)
    return client
