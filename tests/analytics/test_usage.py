"""GET /analytics/usage: A.5's shape and figures, and whose rows a caller sees."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.test import Client

from analytics import queries
from keys.models import ApiKey, Grant
from namespaces.models import Namespace
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    caches["ratelimit"].clear()


@pytest.fixture
def staff() -> Client:
    client = Client()
    operator = User.objects.create_user("operator", is_staff=True)
    operator.user_permissions.add(Permission.objects.get(codename="view_requestlog"))
    client.force_login(operator)
    return client


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def test_usage_by_user_has_the_published_shape(staff: Client) -> None:
    log_row(total_us=1000, request_bytes=10, response_bytes=20)
    log_row(total_us=2000, request_bytes=1, response_bytes=2, outcome="tool_error")
    log_row(user_id="bob", namespace="other", outcome="denied", reason="tool_denied", tool=None)
    answer = staff.get("/analytics/usage?period=7d&group_by=user")
    assert answer.status_code == 200
    assert answer.json() == {
        "period": "168h0m0s",
        "results": [
            {
                "user_id": "alice",
                "namespace": "demo",
                "request_count": 2,
                "error_count": 1,
                "avg_latency_ms": 1.5,
                "total_request_bytes": 11,
                "total_response_bytes": 22,
            },
            {
                "user_id": "bob",
                "namespace": "other",
                "request_count": 1,
                "error_count": 1,
                "avg_latency_ms": 1.5,
                "total_request_bytes": 100,
                "total_response_bytes": 1000,
            },
        ],
    }


def test_usage_by_tool_carries_the_tool_in_place_of_the_user(staff: Client) -> None:
    log_row(tool="echo")
    log_row(tool="add", user_id="bob")
    log_row(tool="add")
    log_row(tool="file:///secret", method="resources/read")
    log_row(tool=None, method="tools/list")
    results = staff.get("/analytics/usage?group_by=tool").json()["results"]
    assert [(row["tool_name"], row["request_count"]) for row in results] == [("add", 2), ("echo", 1)]
    assert "user_id" not in results[0]


@pytest.mark.parametrize(
    ("query", "echo", "calls"),
    [("", "24h0m0s", 2), ("?period=30m", "30m0s", 1), ("?period=90m", "1h30m0s", 2), ("?period=30d", "720h0m0s", 3)],
)
def test_the_period_bounds_the_rows_and_is_echoed_as_go_prints_it(
    staff: Client, query: str, echo: str, calls: int
) -> None:
    for at in (ago(minutes=1), ago(minutes=80), ago(days=8)):
        log_row(at)
    answer = staff.get(f"/analytics/usage{query}").json()
    assert answer["period"] == echo
    assert sum(row["request_count"] for row in answer["results"]) == calls


def test_a_long_stream_counts_once(staff: Client) -> None:
    log_row(method="GET", tool=None, reason="opened")
    log_row(method="GET", tool=None, reason="closed", total_us=60_000_000)
    assert staff.get("/analytics/usage").json()["results"][0]["request_count"] == 1


def test_nothing_yet_is_an_empty_list(staff: Client) -> None:
    assert staff.get("/analytics/usage").json() == {"period": "24h0m0s", "results": []}


@pytest.mark.parametrize("period", ["", "7", "7w", "0d", "-1d", "1.5h", "7d ", "７d", "99999999d", "3661d", "1d'--"])
def test_a_bad_period_is_a_400_that_names_it(staff: Client, period: str) -> None:
    answer = staff.get("/analytics/usage", {"period": period})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["reason"] == "invalid_parameter" and error["field"] == "period" and "period" in error["message"]


def test_a_bad_grouping_is_a_400_that_names_it(staff: Client) -> None:
    error = staff.get("/analytics/usage?group_by=namespace").json()["error"]
    assert error["field"] == "group_by" and "namespace" in error["message"]


def test_a_key_sees_its_own_users_rows_in_its_namespaces_only() -> None:
    demo = Namespace.objects.create(slug="demo")
    key = ApiKey.objects.create(user_id="alice")
    Grant.objects.create(key=key, namespace=demo)
    log_row()
    log_row(namespace="other")
    log_row(user_id="bob")
    headers = {"Authorization": f"Bearer {key.issue()}"}

    def seen() -> list[tuple[str, str]]:
        rows = Client().get("/analytics/usage", headers=headers).json()["results"]
        return [(row["user_id"], row["namespace"]) for row in rows]

    assert seen() == [("alice", "demo")]
    key.grants.all().delete()
    assert seen() == []
    ApiKey.objects.update(all_namespaces=True)
    assert seen() == [("alice", "demo"), ("alice", "other")]


def test_more_groups_than_an_answer_holds_are_cut_and_said(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        log_row(tool=f"tool{number}")
    monkeypatch.setattr(queries, "MAX_GROUPS", 3)
    answer = staff.get("/analytics/usage?group_by=tool").json()
    assert len(answer["results"]) == 3 and answer["truncated"] is True
