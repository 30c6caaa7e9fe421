"""What the history keeps of checks, and what uptime and strips make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.dashboard.health import percent_up, slots_of
from namespaces import catalogue, health
from namespaces.findings import Listing, ProbeResult
from namespaces.health import NO_TRAFFIC, Health, Traffic
from namespaces.models import HealthSpan, Upstream, UpstreamStatus

GOOD = ProbeResult(True, "It answers.", era="legacy", latency_ms=4.5)
BAD = ProbeResult(False, "Connection refused.", "refused")
BEGIN = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVERY_S = 10


@pytest.fixture
def upstream(db: None) -> Upstream:
    return Upstream.objects.create(slug="one", url="http://127.0.0.1:9/mcp", health_interval_s=EVERY_S)


def check(upstream: Upstream, after_s: float, result: ProbeResult, traffic: Traffic = NO_TRAFFIC) -> UpstreamStatus:
    """Store a check that was made so long after BEGIN."""
    now = BEGIN + timedelta(seconds=after_s)
    status, _ = UpstreamStatus.objects.get_or_create(upstream=upstream, defaults={"checked_at": now, "ok": result.ok})
    status.checked_at, status.ok = now, result.ok
    health.note(status, result, traffic, now)
    status.save()
    return status


def spans(upstream: Upstream) -> list[tuple[str, float, float, int]]:
    """State, beginning and end in seconds after BEGIN, and checks."""
    rows = HealthSpan.objects.filter(upstream=upstream).order_by("began_at")
    return [
        (row.health, (row.began_at - BEGIN).total_seconds(), (row.ended_at - BEGIN).total_seconds(), row.checks)
        for row in rows
    ]


def test_equal_checks_are_one_row_and_spans_touch(upstream: Upstream) -> None:
    for after_s, result in ((0, GOOD), (10, GOOD), (20, GOOD), (30, BAD), (40, BAD), (50, GOOD)):
        check(upstream, after_s, result)
    assert spans(upstream) == [("online", 0, 30, 3), ("offline", 30, 50, 2), ("online", 50, 50, 1)]


def test_another_reason_is_another_row(upstream: Upstream) -> None:
    check(upstream, 0, BAD)
    check(upstream, 10, ProbeResult(False, "It took too long.", "first_byte_timeout"))
    assert spans(upstream) == [("offline", 0, 10, 1), ("offline", 10, 10, 1)]


def test_a_pause_of_the_checks_is_a_gap(upstream: Upstream) -> None:
    check(upstream, 0, GOOD)
    check(upstream, 10, GOOD)
    check(upstream, 10 + 3 * EVERY_S + 1, GOOD)
    assert spans(upstream) == [("online", 0, 10, 2), ("online", 41, 41, 1)]
    uptime = health.uptime(list(HealthSpan.objects.all()), BEGIN, BEGIN + timedelta(seconds=41))
    assert uptime.share == 1 and uptime.seconds[Health.UNKNOWN] == 31


def test_recoveries_and_failing_checks_are_counted(upstream: Upstream) -> None:
    for place, result in enumerate((GOOD, BAD, BAD, BAD)):
        status = check(upstream, place * 10, result)
    assert (status.health, status.failing_checks, status.recoveries) == (Health.OFFLINE, 3, 0)
    assert status.since == BEGIN + timedelta(seconds=10)
    for place, result in enumerate((GOOD, GOOD, BAD, GOOD), 4):
        status = check(upstream, place * 10, result)
    assert (status.health, status.failing_checks, status.recoveries) == (Health.ONLINE, 0, 2)


@pytest.mark.parametrize(
    ("calls", "failed", "state"), [(4, 4, "online"), (5, 1, "degraded"), (10, 1, "online"), (100, 20, "degraded")]
)
def test_a_share_of_failing_calls_degrades(upstream: Upstream, calls: int, failed: int, state: str) -> None:
    status = check(upstream, 0, GOOD, Traffic(calls, failed, "total_timeout"))
    assert status.health == state
    assert check(upstream, 10, BAD, Traffic(calls, failed)).health == Health.OFFLINE


def test_a_state_that_nobody_has_confirmed_for_long_is_unknown(upstream: Upstream) -> None:
    check(upstream, 0, GOOD)
    seen = Upstream.objects.select_related("status").get()
    assert health.current(seen, BEGIN + timedelta(seconds=59)) == Health.ONLINE
    assert health.current(seen, BEGIN + timedelta(seconds=61)) == Health.UNKNOWN
    seen.enabled = False
    assert health.current(seen, BEGIN) == Health.UNKNOWN
    assert health.current(Upstream(slug="new", url="http://127.0.0.1:9/")) == Health.UNKNOWN


def test_a_short_check_leaves_what_the_lists_said(upstream: Upstream) -> None:
    tools = Listing(({"name": "a"}, {"name": "b"}))
    catalogue.record(upstream, ProbeResult(True, "2 tools found.", era="legacy", listings={"tool": tools}))
    catalogue.record(upstream, GOOD)
    status = UpstreamStatus.objects.get()
    assert (status.tool_count, status.message, status.latency_ms) == (2, "2 tools found.", 4.5)
    catalogue.record(upstream, BAD)
    catalogue.record(upstream, GOOD)
    status.refresh_from_db()
    assert status.message == "It answers." and status.reason == ""


def test_uptime_counts_degraded_as_up_and_only_the_time_asked_for(upstream: Upstream) -> None:
    for state, begin, end in (("online", 0, 100), ("degraded", 100, 150), ("offline", 150, 200)):
        began, ended = (BEGIN + timedelta(seconds=moment) for moment in (begin, end))
        HealthSpan.objects.create(upstream=upstream, health=state, began_at=began, ended_at=ended)
    rows = list(HealthSpan.objects.order_by("began_at"))
    whole = health.uptime(rows, BEGIN, BEGIN + timedelta(seconds=200))
    assert whole.share == 0.75 and whole.seconds == {"online": 100, "degraded": 50, "offline": 50, "unknown": 0}
    part = health.uptime(rows, BEGIN + timedelta(seconds=125), BEGIN + timedelta(seconds=225))
    assert part.share == pytest.approx(25 / 75) and part.seconds["unknown"] == 25
    assert health.uptime([], BEGIN, BEGIN + timedelta(days=1)).share is None
    slots = slots_of(rows, BEGIN - timedelta(seconds=100), BEGIN + timedelta(seconds=200), 6)
    assert slots == ["unknown", "unknown", "online", "online", "degraded", "offline"]


def test_the_history_is_kept_for_so_long(upstream: Upstream) -> None:
    check(upstream, 0, GOOD)
    check(upstream, 1000, BAD)
    assert health.forget_before(BEGIN + timedelta(seconds=500)) == 1
    assert [row[0] for row in spans(upstream)] == ["offline"]


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100 %"), (0.99999, "99.99 %"), (0.9951, "99.51 %"), (0.9876, "98.7 %"), (0, "0.0 %")]
)
def test_an_uptime_is_never_rounded_up(share: float, text: str) -> None:
    assert percent_up(share).replace("\u00a0", " ") == text
