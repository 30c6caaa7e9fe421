"""Fixtures of the admin's tests: people with and without rights, and upstreams on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.test import Client

from keys.models import ApiKey
from namespaces.models import Mount, Namespace, Upstream
from tests.upstreams.listening import started


@pytest.fixture(autouse=True)
def _loopback_allowed(settings: Any) -> None:
    """Let upstreams on this machine be reached, whichever database the run uses."""
    settings.UPSTREAM_ALLOW = ["127.0.0.0/8", "::1", "localhost"]


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    """Let no test inherit another's failed sign-ins."""
    caches["ratelimit"].clear()


@pytest.fixture(scope="session")
def sdk_url() -> Iterator[str]:
    """The URL of an upstream that speaks both eras."""
    with started("tests.upstreams.sdk_server") as url:
        yield url


@pytest.fixture(scope="session")
def legacy_url() -> Iterator[str]:
    """The URL of an upstream that speaks the legacy era alone."""
    with started("tests.upstreams.sdk_server", "--legacy-only") as url:
        yield url


@pytest.fixture(scope="session")
def hostile_url() -> Iterator[str]:
    """The base URL of the hostile upstream; a path chooses how it misbehaves."""
    with started("tests.upstreams.hostile") as url:
        yield url


@pytest.fixture
def ada(db: None) -> User:
    """An administrator."""
    return User.objects.create_superuser("ada", password="the-password-of-ada")


@pytest.fixture
def admin(ada: User) -> Client:
    """The administrator's browser, which sends CSRF tokens as a browser does only where a test says so."""
    client = Client()
    client.force_login(ada)
    return client


@pytest.fixture
def make_staff(db: None) -> Any:
    """Return a function that signs in a member of staff who has the named rights alone."""

    def make(*rights: str) -> Client:
        user = User.objects.create_user(f"staff{User.objects.count()}", is_staff=True)
        for right in rights:
            app, codename = right.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def upstream(db: None) -> Upstream:
    """An upstream that nobody has tested."""
    return Upstream.objects.create(slug="files", url="http://127.0.0.1:47/mcp")


@pytest.fixture
def namespace(upstream: Upstream) -> Namespace:
    """A namespace that mounts the upstream."""
    found = Namespace.objects.create(slug="team")
    Mount.objects.create(namespace=found, upstream=upstream)
    return found


@pytest.fixture
def key(namespace: Namespace) -> ApiKey:
    """A key that is granted the namespace."""
    found = ApiKey.objects.create(user_id="bob@example.org", description="laptop")
    found.grants.create(namespace=namespace)
    return found
