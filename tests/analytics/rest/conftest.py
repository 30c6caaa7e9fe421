"""Callers of the API: who sees everything, a key, and a few calls to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.test import Client

from keys.models import ApiKey

Get = Callable[..., Any]


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
