"""Callers of the API: who sees everything, a key, and a few calls to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.test import Client

from keys.models import ApiKey
from tests.conftest import Gateways
from tests.gateway import Gateway

EXPORT_TIMEOUT_MS = 1500


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    caches["ratelimit"].clear()


@pytest.fixture
def staff() -> Client:
    """Return a client of somebody who sees every call."""
    client = Client()
    operator = User.objects.create_user("operator", is_staff=True)
    operator.user_permissions.add(Permission.objects.get(codename="view_requestlog"))
    client.force_login(operator)
    return client


@pytest.fixture
def as_user() -> Callable[..., Client]:
    """Return a function that makes a key of a user and a client that sends it."""

    def make(user: str, **fields: Any) -> Client:
        key = ApiKey.objects.create(user_id=user, **({"all_namespaces": True} | fields))
        return Client(headers={"Authorization": f"Bearer {key.issue()}"})

    return make


@pytest.fixture(scope="module")
def gateway_for_exports(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Yield a gateway with one worker, whose analytic statements may take EXPORT_TIMEOUT_MS."""
    with Gateways(request) as start:
        yield start(env={"GATEWAY_ANALYTICS_TIMEOUT_MS": str(EXPORT_TIMEOUT_MS), "GATEWAY_REST_RATE": "10000/m"})
