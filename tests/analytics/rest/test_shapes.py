"""The published shapes to the letter, and the figures in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from keys.models import ApiKey
from tests.analytics.rest.walk import CALL_ID
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def get(client: Client, path: str, **parameters: Any) -> dict[str, Any]:
    answer = client.get(path, parameters)
    assert answer.status_code == 200, answer.content
    return answer.json()


def near(value: float) -> Any:
    """A percentile of the roll-ups, which may be 5 % off."""
    return pytest.approx(value, rel=0.05)


def test_tools_have_the_published_shape_a7(staff: Client) -> None:
    log_row(tool="echo", total_us=1000)
    log_row(tool="echo", total_us=3000, outcome="tool_error", user_id="bob")
    log_row(tool="add", namespace="other", total_us=500)
    assert get(staff, "/analytics/tools", period="7d", limit="20") == {
        "period": "168h0m0s",
        "tools": [
            {
                "tool_name": "echo",
                "namespace": "demo",
                "invocations": 2,
                "unique_users": 2,
                "avg_latency_ms": 2.0,
                "error_rate": 0.5,
            },
            {
                "tool_name": "add",
                "namespace": "other",
                "invocations": 1,
                "unique_users": 1,
                "avg_latency_ms": 0.5,
                "error_rate": 0.0,
            },
        ],
    }
    assert [row["tool_name"] for row in get(staff, "/analytics/tools", limit="1")["tools"]] == ["echo"]


def test_detail_adds_every_measure(staff: Client) -> None:
    log_row(total_us=200_000)
    (tool,) = get(staff, "/analytics/tools", detail="true")["tools"]
    assert tool["p95_latency_ms"] == near(200) and tool["total_response_bytes"] == 1000
    (row,) = get(staff, "/analytics/usage", detail="true")["results"]
    assert row["p99_latency_ms"] == near(200) and row["error_rate"] == 0


def test_timeseries_has_the_published_shape_and_its_empty_buckets_a8(staff: Client) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    log_row(hour - timedelta(hours=2, minutes=-5))
    log_row(hour - timedelta(hours=2, minutes=-6), outcome="timeout")
    answer = get(staff, "/analytics/timeseries", period="24h", bucket="1h")
    assert set(answer) == {"period", "bucket", "data"}
    assert (answer["period"], answer["bucket"]) == ("24h0m0s", "1h0m0s")
    stamps = [point["timestamp"] for point in answer["data"]]
    assert stamps == [f"{hour - timedelta(hours=back):%Y-%m-%dT%H:%M:%SZ}" for back in range(24, -1, -1)]
    values = {point["timestamp"]: point["value"] for point in answer["data"]}
    busy = f"{hour - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    assert values.pop(busy) == 2
    assert set(values.values()) == {0} and all(isinstance(value, int) for value in values.values())


@pytest.mark.parametrize(
    ("metric", "value", "empty"),
    [
        ("calls", 2, 0),
        ("errors", 1, 0),
        ("bytes", 2200, 0),
        ("avg", 20.0, None),
        ("p50", near(10), None),
        ("p95", near(30), None),
        ("p99", near(30), None),
    ],
)
def test_a_series_of_each_metric(staff: Client, metric: str, value: Any, empty: Any) -> None:
    at = ago(minutes=30)
    log_row(at, total_us=10_000)
    log_row(at, total_us=30_000, outcome="tool_error")
    points = get(staff, "/analytics/timeseries", period="2h", bucket="5m", metric=metric)["data"]
    found = [point["value"] for point in points]
    assert found.count(empty) == len(found) - 1
    assert next(point for point in found if point != empty) == value


def test_the_bucket_that_nobody_named_suits_the_period(staff: Client) -> None:
    for period, bucket in (("30m", "1m0s"), ("24h", "1h0m0s"), ("7d", "6h0m0s"), ("30d", "24h0m0s")):
        answer = get(staff, "/analytics/percentiles", period=period)
        assert answer["bucket"] == bucket and 10 < len(answer["data"]) < 50


def test_percentiles_over_time(staff: Client) -> None:
    at = ago(hours=3)
    for total_us in (*[10_000] * 90, *[100_000] * 9, 1_000_000):
        log_row(at, total_us=total_us)
    points = get(staff, "/analytics/percentiles", period="6h", bucket="1h")["data"]
    (busy,) = [point for point in points if point["request_count"]]
    assert busy["request_count"] == 100
    latencies = [busy[f"{name}_latency_ms"] for name in ("p50", "p95", "p99")]
    assert latencies == [near(10), near(100), near(100)]
    assert all(point["p95_latency_ms"] is None for point in points if point is not busy)


def test_one_users_usage_a6(staff: Client) -> None:
    ApiKey.objects.create(pk=7, user_id="alice")
    log_row(key_id=7)
    log_row(key_id=7, tool="add", outcome="timeout", reason="first_byte_timeout", namespace="other")
    log_row(user_id="bob")
    answer = get(staff, "/analytics/usage/alice", period="24h")
    assert (answer["period"], answer["user_id"]) == ("24h0m0s", "alice")
    assert (answer["totals"]["request_count"], answer["totals"]["error_count"]) == (2, 1)
    assert {row["namespace"] for row in answer["namespaces"]} == {"demo", "other"}
    assert {(row["tool_name"], row["namespace"]) for row in answer["tools"]} == {("echo", "demo"), ("add", "other")}
    assert [(row["key_id"], row["request_count"]) for row in answer["keys"]] == [(7, 2)]
    assert answer["outcomes"] == [
        {"outcome": "ok", "reason": None, "request_count": 1, "share": 0.5},
        {"outcome": "timeout", "reason": "first_byte_timeout", "request_count": 1, "share": 0.5},
    ]


def test_a_user_without_calls_in_the_period_is_no_stranger(staff: Client) -> None:
    ApiKey.objects.create(user_id="quiet")
    log_row(ago(days=3), user_id="keyless")
    for user in ("quiet", "keyless"):
        assert get(staff, f"/analytics/usage/{user}", period="1h")["totals"]["request_count"] == 0
    assert staff.get("/analytics/usage/nobody").status_code == 404


@pytest.mark.parametrize("user", ["a/b", "a//b", "ä ö?&#%", "日本", "<b>", "x" * 200, "trailing/"])
def test_a_users_id_may_hold_any_printable_character(staff: Client, user: str) -> None:
    from urllib.parse import quote

    log_row(user_id=user)
    assert get(staff, f"/analytics/usage/{quote(user, safe='')}")["user_id"] == user


@pytest.mark.parametrize("user", ["%00", "a%00b", "%0a", "x" * 5000])
def test_a_users_id_that_cannot_be_is_not_found(staff: Client, user: str) -> None:
    answer = staff.get(f"/analytics/usage/{user}")
    assert answer.status_code == 404 and answer.json()["error"]["reason"] == "not_found"


def test_the_summary_stands_beside_the_period_before(staff: Client) -> None:
    for at in (ago(hours=1), ago(hours=30), ago(hours=31), ago(hours=100)):
        log_row(at, user_id=f"user at {at}")
    answer = get(staff, "/analytics/summary", period="24h")
    assert answer["current"]["request_count"] == answer["current"]["active_users"] == 1
    assert answer["before"]["request_count"] == answer["before"]["active_users"] == 2
    assert answer["before"]["to"] == answer["current"]["from"]


def test_outcomes_with_their_reasons(staff: Client) -> None:
    for outcome, reason in (("ok", None), ("ok", None), ("denied", "tool_denied"), ("tool_error", None)):
        log_row(outcome=outcome, reason=reason)
    assert get(staff, "/analytics/outcomes")["outcomes"] == [
        {"outcome": "ok", "reason": None, "request_count": 2, "share": 0.5},
        {"outcome": "denied", "reason": "tool_denied", "request_count": 1, "share": 0.25},
        {"outcome": "tool_error", "reason": None, "request_count": 1, "share": 0.25},
    ]
    cut = get(staff, "/analytics/outcomes", limit="1")
    assert cut["truncated"] is True and cut["outcomes"][0]["share"] == 0.5


def test_usage_by_key_says_whose_it_is_and_what_became_of_it(staff: Client) -> None:
    key = ApiKey.objects.create(user_id="alice", description="laptop")
    log_row(key_id=key.pk)
    log_row(key_id=key.pk)
    log_row(key_id=key.pk + 1)
    key.revoke()
    rows = get(staff, "/analytics/keys")["keys"]
    names = ("key_id", "user_id", "description", "state", "request_count")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (key.pk, "alice", "laptop", "revoked", 2),
        (key.pk + 1, "alice", None, None, 1),
    ]


def test_usage_by_namespace_and_by_upstream(staff: Client) -> None:
    log_row()
    log_row(user_id="bob")
    log_row(namespace="other", upstream="far", outcome="upstream_error")
    rows = get(staff, "/analytics/namespaces", detail="true")["namespaces"]
    assert [(row["namespace"], row["request_count"], row["unique_users"]) for row in rows] == [
        ("demo", 2, 2),
        ("other", 1, 1),
    ]
    rows = get(staff, "/analytics/upstreams", order="error_rate")["upstreams"]
    assert [(row["upstream"], row["error_rate"]) for row in rows] == [("far", 1.0)]


def test_rows_of_few_calls_can_be_left_out(staff: Client) -> None:
    for tool in ("often", "often", "once"):
        log_row(tool=tool, upstream=tool, namespace=tool, user_id=tool, key_id=len(tool))
    for path, table in (("tools", "tools"), ("usage", "results"), ("namespaces", "namespaces"), ("keys", "keys")):
        assert len(get(staff, f"/analytics/{path}")[table]) == 2
        assert len(get(staff, f"/analytics/{path}", min_calls="2")[table]) == 1


def test_metrics_have_the_published_names_b6(staff: Client) -> None:
    log_row(total_us=2000)
    log_row(total_us=4000, outcome="timeout", upstream="far", tool="slow")
    log_row(ago(hours=2))
    answer = get(staff, "/api/v1/metrics", window="3600000")
    published = "totalRequests successRate avgLatencyMs p95LatencyMs p99LatencyMs requestsPerMinute topTools topServers"
    assert {*published.split(), "errorsByServer", "servers"} <= set(answer)
    assert (answer["totalRequests"], answer["successRate"], answer["avgLatencyMs"]) == (2, 0.5, 3.0)
    assert answer["requestsPerMinute"] == pytest.approx(2 / 60, abs=0.001)
    assert answer["errorsByServer"] == {"far": 1}
    assert [server["serverId"] for server in answer["servers"]] == ["demo", "far"]
    assert [(tool["toolName"], tool["serverId"]) for tool in answer["topTools"]] == [("echo", "demo"), ("slow", "far")]
    assert get(staff, "/api/v1/metrics", window="1000", namespace="nobody's")["successRate"] is None


@pytest.mark.parametrize("asked", [{"format": "prometheus"}, {"accept": "text/plain"}])
def test_metrics_as_prometheus_text_for_those_who_see_everything(
    staff: Client, as_user: Callable[..., Client], asked: dict[str, str]
) -> None:
    asked = dict(asked)
    accept = asked.pop("accept", "*/*")
    log_row(total_us=2000)
    answer = staff.get("/api/v1/metrics", asked, headers={"Accept": accept})
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"\nmcp_gateway_success_rate 1.0\n" in answer.content
    assert b"\nmcp_gateway_latency_avg_ms 2.0\n" in answer.content
    answer = as_user("alice").get("/api/v1/metrics", asked, headers={"Accept": accept})
    assert answer.status_code == 403 and answer.json()["error"]["reason"] == "forbidden"


def test_a_call_of_the_log_has_the_published_fields_b8(staff: Client) -> None:
    log_row(ago(minutes=1), id=CALL_ID, total_us=1234, client_address="192.0.2.7", request_id="r1")
    answer = get(staff, "/api/v1/requests")
    assert (answer["nextCursor"], answer["source"]) == (None, "postgres")
    (call,) = answer["requests"]
    published = {
        "id": CALL_ID,
        "serverId": "demo",
        "toolName": "echo",
        "durationMs": 1.234,
        "success": True,
        "clientId": "alice",
        "via": "mcp",
    }
    assert {name: call[name] for name in published} == published
    assert list(call)[:8] == "id timestamp serverId toolName durationMs success clientId via".split()
    assert datetime.fromisoformat(call["timestamp"]).utcoffset() == timedelta(0)
    assert call["clientAddress"] == "192.0.2.7" and call["kind"] == "tool" and call["requestId"] == "r1"


def test_one_call_shows_where_its_time_went(staff: Client) -> None:
    times = {"total_us": 10_000, "upstream_us": 8_000, "first_byte_us": 5_000}
    log_row(id=CALL_ID, **times)
    for spelling in (CALL_ID, CALL_ID.replace("-", ""), CALL_ID.upper()):
        call = get(staff, f"/api/v1/requests/{spelling}")
        assert call["id"] == CALL_ID
    assert call["stages"] == [  # a row that was written before the first two were
        {"stage": "waiting", "startMs": 2.0, "durationMs": 5.0},
        {"stage": "answer", "startMs": 7.0, "durationMs": 3.0},
    ]
    log_row(id=CALL_ID[:-1] + "5", auth_us=100, limit_us=300, **times)
    stages = get(staff, f"/api/v1/requests/{CALL_ID[:-1]}5")["stages"]
    assert [(stage["stage"], stage["startMs"], stage["durationMs"]) for stage in stages] == [
        ("authentication", 0.0, 0.1),
        ("limits", 0.1, 0.2),
        ("waiting", 2.0, 5.0),
        ("answer", 7.0, 3.0),
    ]
    for unknown in ("1", "0" * 31, "..", "x" * 3000, CALL_ID[:-1] + "2", "%00"):
        answer = staff.get(f"/api/v1/requests/{unknown}")
        assert answer.status_code == 404 and answer.json()["error"]["reason"] == "not_found"
