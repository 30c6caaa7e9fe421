"""The one shape of errors, whatever went wrong and whatever form was asked for; and how often one may ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from keys.models import ApiKey
from tests.analytics.rest.walk import CALL_ID, OF_THE_LOG, PATHS, TABLES
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db


def check(answer: Any, status: int, reason: str) -> dict[str, str]:
    assert answer.status_code == status, answer.content[:500]
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "private, no-store"
    body = answer.json()
    assert set(body) == {"error"} and {"reason", "message"} <= set(body["error"]) <= {"reason", "message", "field"}
    assert body["error"]["reason"] == reason and len(body["error"]["message"]) > 10
    return body["error"]


@pytest.mark.parametrize("path", PATHS)
def test_no_credential_is_401(path: str) -> None:
    answer = Client().get(path)
    check(answer, 401, "unauthenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="mcp-gateway"'


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_other_methods_are_405(as_user: Callable[..., Client], path: str, method: str) -> None:
    answer = getattr(as_user("alice"), method)(path)
    check(answer, 405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) <= {"GET", "HEAD"}


@pytest.mark.parametrize("path", PATHS)
def test_what_cannot_be_had_in_that_form_is_406(staff: Client, path: str) -> None:
    check(staff.get(path, headers={"Accept": "image/png"}), 406, "not_acceptable")
    if path not in TABLES:
        check(staff.get(path, headers={"Accept": "text/csv"}), 406, "not_acceptable")
        check(staff.get(path, {"format": "csv"}), 400, "invalid_parameter")


@pytest.mark.parametrize("path", TABLES)
def test_an_error_is_json_where_csv_was_asked_for(staff: Client, path: str) -> None:
    check(staff.get(path, {"format": "csv", "period": "x"}), 400, "invalid_parameter")
    check(staff.get(path, {"period": "x"}, headers={"Accept": "text/csv"}), 400, "invalid_parameter")
    check(Client().get(path, {"format": "csv"}), 401, "unauthenticated")


@pytest.mark.parametrize("path", ["/analytics/", "/analytics/nothing", "/analytics/usage/", "/api/", "/api/v1/nothing"])
def test_a_path_that_leads_nowhere_is_404_in_json(staff: Client, path: str) -> None:
    for client in (staff, Client()):
        check(client.get(path), 404, "not_found")


def test_a_page_that_leads_nowhere_stays_a_page() -> None:
    answer = Client().get("/nothing")
    assert answer.status_code == 404 and answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", PATHS)
def test_head_answers_without_a_body(staff: Client, path: str) -> None:
    log_row(id=CALL_ID)
    answer = staff.head(path)
    assert answer.status_code == 200 and answer.content == b""


@pytest.mark.parametrize("path", PATHS)
def test_answers_are_kept_by_no_cache(staff: Client, path: str) -> None:
    log_row(id=CALL_ID)
    assert staff.get(path)["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("path", PATHS)
def test_too_many_requests_are_429(as_user: Callable[..., Client], path: str, settings: Any) -> None:
    settings.REST_RATE = "2/h"  # a minute may end between two requests
    client, other = as_user("alice"), as_user("bob")
    assert [client.get(path).status_code == 429 for _ in range(4)] == [False, False, True, True]
    answer = client.get(path)
    check(answer, 429, "rate_limited")
    assert 1 <= int(answer["Retry-After"]) <= 3600
    assert other.get(path).status_code != 429
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize("path", OF_THE_LOG)
def test_a_slow_statement_is_a_503_that_says_what_to_do(staff: Client, path: str, settings: Any) -> None:
    log_row(id=CALL_ID, key_id=3)
    settings.ANALYTICS_TIMEOUT_MS = 100
    with connection.cursor() as cursor:  # every look at the log takes half a second
        cursor.execute("ALTER TABLE analytics_requestlog RENAME TO slow_log")
        cursor.execute(
            "CREATE VIEW analytics_requestlog AS SELECT slow_log.* FROM slow_log,"
            " (SELECT pg_sleep(0.5) OFFSET 0) AS pause WHERE pause IS NOT NULL"
        )
    answer = staff.get(path)
    error = check(answer, 503, "unavailable")
    assert "shorter period" in error["message"] and answer["Retry-After"] == "5"
