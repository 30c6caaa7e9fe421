"""The start page: what is up, what is not, and the next step."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from analytics.models import RequestLog
from analytics.partitions import partition_name
from gateway_project import admin_overview
from keys.models import ApiKey, KeyUsage
from namespaces import catalogue
from namespaces.models import Namespace, Upstream
from namespaces.probe import Listing, ProbeResult


def start(admin: Client) -> tuple[dict[str, Any], str]:
    response = admin.get("/admin/")
    return response.context.flatten() if hasattr(
        response.context, "flatten"
    ) else response.context, response.content.decode()


def log_call(**fields: Any) -> None:
    values = {"id": uuid.uuid4(), "at": timezone.now(), "outcome": "ok", "http_status": 200, "total_us": 1000}
    RequestLog.objects.create(**(values | {"request_bytes": 1, "response_bytes": 1} | fields))


@pytest.fixture
def todays_partition(db: None) -> None:
    """Have a partition for the calls of today."""
    today = timezone.now().date()
    with connection.cursor() as cursor:
        for day in (today - timedelta(days=1), today):
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF analytics_requestlog"
                f" FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
            )


def test_an_empty_gateway_shows_the_first_steps(admin: Client) -> None:
    context, body = start(admin)
    assert [step.done for step in context["steps"]] == [False] * 5
    assert "Add the MCP server that you want to publish" in body and "none yet" in body


def test_the_steps_are_ticked_off_and_vanish(admin: Client, key: ApiKey, upstream: Upstream) -> None:
    assert [step.done for step in start(admin)[0]["steps"]] == [True, False, True, True, False]
    catalogue.record_status(upstream, ProbeResult(True, "fine", era="modern"))
    KeyUsage.objects.create(key=key, last_used_at=timezone.now())
    context, body = start(admin)
    assert context["steps"] == [] and "First steps" not in body


def test_what_is_down_stands_first_with_its_reason(admin: Client, upstream: Upstream) -> None:
    listing = {"tool": Listing(({"name": "read"},))}
    up = Upstream.objects.create(slug="aaa-up", url="http://127.0.0.1:47/up")
    catalogue.record_status(up, ProbeResult(True, "1 tool found.", era="modern", latency_ms=8.412, listings=listing))
    Upstream.objects.create(slug="aab-off", url="http://127.0.0.1:47/off", enabled=False)
    catalogue.record_status(upstream, ProbeResult(False, "Connection refused by 127.0.0.1:47.", "connection_refused"))
    context, body = start(admin)
    assert [row.slug for row in context["upstreams"]["rows"]] == ["files", "aaa-up", "aab-off"]
    counts = context["upstreams"]
    assert (counts["total"], counts["up"], counts["down"], counts["untested"]) == (2, 1, 1, 0)
    assert "Connection refused by 127.0.0.1:47." in body and "8.41 ms" in body
    for word in ("up", "down", "disabled"):
        assert f'">{word}</span>' in body
    assert f'aria-label="Test connection of {upstream.slug}"' in body


def test_an_upstream_is_tested_again_from_here(admin: Client, upstream: Upstream) -> None:
    response = admin.post(f"/admin/namespaces/upstream/{upstream.pk}/test/", follow=True)
    assert response.redirect_chain == [("/admin/", 302)]
    assert "Connection refused" in response.content.decode()
    assert admin.get(f"/admin/namespaces/upstream/{upstream.pk}/test/").status_code == 405
    assert admin.post("/admin/namespaces/upstream/999/test/").status_code == 404


def test_keys_that_end_soon_are_counted(admin: Client, key: ApiKey) -> None:
    now = timezone.now()
    ApiKey.objects.create(user_id="soon", expires_at=now + timedelta(days=13))
    ApiKey.objects.create(user_id="later", expires_at=now + timedelta(days=15))
    ApiKey.objects.create(user_id="over", expires_at=now)
    ApiKey.objects.create(user_id="revoked", revoked_at=now)
    context, body = start(admin)
    assert context["keys"] == {"active": 3, "soon": 1}
    assert "some expire soon" in body


def test_a_namespace_that_serves_nothing_is_not_counted_as_serving(admin: Client, namespace: Namespace) -> None:
    Namespace.objects.create(slug="empty")
    assert start(admin)[0]["namespaces"] == {"total": 2, "enabled": 1}
    Upstream.objects.update(enabled=False)
    assert start(admin)[0]["namespaces"] == {"total": 2, "enabled": 0}


def test_calls_of_the_last_hour_are_counted_by_how_they_ended(admin: Client, todays_partition: None) -> None:
    for outcome in ("ok", "ok", "ok", "denied", "limited", "tool_error", "timeout", "upstream_error"):
        log_call(outcome=outcome)
    log_call(reason="opened")
    log_call(at=timezone.now() - timedelta(minutes=61))
    context, body = start(admin)
    assert context["calls"] == {"total": 8, "good": 3, "refused": 2, "failed": 3, "share": "37.5"}
    assert "3 (37.5 %), 2 refused" in body


def test_a_log_too_long_to_count_in_time_does_not_hold_the_page(
    admin: Client, todays_partition: None, monkeypatch: Any
) -> None:
    monkeypatch.setattr(admin_overview, "PATIENCE_MS", 1)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO analytics_requestlog (id, at, outcome, http_status, total_us, request_bytes, response_bytes)"
            " SELECT gen_random_uuid(), now(), 'ok', 200, 1, 1, 1 FROM generate_series(1, 60000)"
        )
    context, body = start(admin)
    assert context["calls"] is None
    assert "too many to count at once" in body
    assert admin.get("/admin/audit/").status_code == 200


def test_each_block_is_for_those_who_may_see_it(make_staff: Callable[..., Client], key: ApiKey) -> None:
    wanted = {
        "namespaces.view_upstream": "Upstreams up",
        "namespaces.view_namespace": ">Namespaces<",
        "keys.view_apikey": "Active keys",
        "analytics.view_requestlog": "Calls in the last hour",
    }
    for right, text in wanted.items():
        body = make_staff(right).get("/admin/").content.decode()
        tiles = [other for other in wanted.values() if f'tile-label">{other.strip("<>")}' in body]
        assert tiles == [text], right
        assert "First steps" not in body
