"""Who may use the REST API, and the one shape of its errors."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import caches
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from keys import secrets
from keys.models import ApiKey, Grant
from namespaces.models import Namespace

pytestmark = pytest.mark.django_db

CHALLENGE = 'Bearer realm="mcp-gateway"'


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    caches["ratelimit"].clear()


@pytest.fixture
def key() -> ApiKey:
    return ApiKey.objects.create(user_id="alice", all_namespaces=True)


def get(path: str, **headers: str):
    return Client().get(path, headers=headers)


def test_a_key_is_taken_from_either_header_and_from_both_when_they_agree(key: ApiKey) -> None:
    plain = key.issue()
    for headers in (
        {"Authorization": f"Bearer {plain}"},
        {"Authorization": f"bearer {plain}"},
        {"X-API-Key": plain},
        {"Authorization": f"Bearer {plain}", "X-API-Key": plain},
    ):
        assert get("/namespaces", **headers).status_code == 200, headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer mcpgw_short"},
        {"X-API-Key": ""},
        {"X-API-Key": "some-other-key"},
        {"Authorization": f"Bearer {'x' * 2000}"},
        {"Authorization": f"Bearer {secrets.generate()}"},
    ],
)
@pytest.mark.parametrize("path", ["/namespaces", "/analytics/usage"])
def test_no_or_a_bad_credential_is_401_with_a_challenge(path: str, headers: dict[str, str]) -> None:
    answer = get(path, **headers)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == CHALLENGE
    assert answer.json()["error"]["reason"] == "unauthenticated"
    assert set(answer.json()) == {"error"} and set(answer.json()["error"]) == {"reason", "message"}


def test_two_different_credentials_are_refused(key: ApiKey) -> None:
    one, two = key.issue(), key.issue()
    answer = get("/namespaces", **{"Authorization": f"Bearer {one}", "X-API-Key": two})
    assert answer.status_code == 401
    assert "Two different credentials" in answer.json()["error"]["message"]


def test_revoked_expired_and_replaced_keys_are_refused(key: ApiKey) -> None:
    plain = key.issue()
    bearer = {"Authorization": f"Bearer {plain}"}
    new = key.rotate(overlap=timedelta(0))
    assert get("/namespaces", **bearer).status_code == 401
    assert get("/namespaces", **{"X-API-Key": new}).status_code == 200
    ApiKey.objects.update(expires_at=timezone.now())
    assert get("/namespaces", **{"X-API-Key": new}).status_code == 401
    ApiKey.objects.update(expires_at=None)
    key.revoke()
    assert get("/namespaces", **{"X-API-Key": new}).status_code == 401


def test_a_key_under_an_older_pepper_still_opens(key: ApiKey, settings: object) -> None:
    plain = key.issue()
    settings.KEY_PEPPERS = ["a newer pepper", *settings.KEY_PEPPERS]
    assert get("/namespaces", **{"X-API-Key": plain}).status_code == 200
    settings.KEY_PEPPERS = ["a newer pepper"]
    assert get("/namespaces", **{"X-API-Key": plain}).status_code == 401


def test_accounts_are_let_in_by_session_and_see_what_is_theirs() -> None:
    Namespace.objects.create(slug="demo", description="For all")
    client = Client()
    client.force_login(User.objects.create_user("operator", is_superuser=True))
    assert client.get("/namespaces").json() == {"namespaces": [{"name": "demo", "description": "For all"}]}
    for name, is_staff in (("clerk", True), ("visitor", False)):
        client.force_login(User.objects.create_user(name, is_staff=is_staff))
        assert client.get("/namespaces").json() == {"namespaces": []}


def test_a_disabled_account_is_let_in_no_more() -> None:
    client = Client()
    client.force_login(User.objects.create_user("operator", is_superuser=True))
    User.objects.update(is_active=False)
    answer = client.get("/namespaces")
    assert answer.status_code == 401
    assert answer.json()["error"]["reason"] == "unauthenticated"


def test_namespaces_are_those_that_the_credential_may_use_a4(key: ApiKey) -> None:
    one = Namespace.objects.create(slug="one", description="The first")
    Namespace.objects.create(slug="two")
    Namespace.objects.create(slug="off", enabled=False)
    plain = key.issue()
    assert [row["name"] for row in get("/namespaces", **{"X-API-Key": plain}).json()["namespaces"]] == ["one", "two"]
    ApiKey.objects.update(all_namespaces=False)
    assert get("/namespaces", **{"X-API-Key": plain}).json() == {"namespaces": []}
    Grant.objects.create(key=key, namespace=one)
    assert get("/namespaces", **{"X-API-Key": plain}).json() == {
        "namespaces": [{"name": "one", "description": "The first"}]
    }


def test_too_many_requests_of_one_key_are_429_and_another_key_goes_on(key: ApiKey, settings: object) -> None:
    settings.REST_RATE = "5/h"  # a minute may end between two requests
    plain, other = key.issue(), ApiKey.objects.create(user_id="bob").issue()
    codes = [get("/namespaces", **{"X-API-Key": plain}).status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2
    answer = get("/namespaces", **{"X-API-Key": plain})
    assert 1 <= int(answer["Retry-After"]) <= 3600
    assert answer.json()["error"]["reason"] == "rate_limited"
    assert get("/namespaces", **{"X-API-Key": other}).status_code == 200


def test_a_method_that_is_not_offered_has_the_same_error_shape(key: ApiKey) -> None:
    answer = Client().post("/namespaces", headers={"X-API-Key": key.issue()})
    assert answer.status_code == 405
    assert answer.json()["error"]["reason"] == "method_not_allowed"


def test_a_statement_that_takes_too_long_is_a_503_that_says_so(key: ApiKey) -> None:
    plain = key.issue()
    from analytics.errors import rest_exception_handler

    with pytest.raises(OperationalError) as caught, connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 10")
        cursor.execute("SELECT pg_sleep(5)")
    answer = rest_exception_handler(caught.value, {})
    assert answer is not None and answer.status_code == 503 and answer["Retry-After"] == "5"
    assert answer.data["error"]["reason"] == "unavailable"
    assert plain not in str(answer.data)


def test_the_key_is_nowhere_in_an_error(key: ApiKey) -> None:
    plain = key.issue()
    key.revoke()
    answer = get("/analytics/usage", Authorization=f"Bearer {plain}")
    assert plain not in answer.content.decode() and plain[:20] not in str(answer.headers)
    assert settings.KEY_PEPPERS[0] not in answer.content.decode()
