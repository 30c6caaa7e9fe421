"""What the queries say of a small log, without roll-ups: each measure, each grouping, whose calls, and single calls."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from analytics import queries
from analytics.queries import CallFilter, Reading, View
from keys.visibility import Scope
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
EVERYTHING = Scope(sees_addresses=True)


@pytest.fixture
def reading() -> Iterator[Reading]:
    with queries.reading() as reading:
        yield reading


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def view(reading: Reading, scope: Scope = EVERYTHING, since: timedelta = 24 * HOUR, **names: object) -> View:
    return View(reading.now - since, datetime.now(UTC) + HOUR, scope, **names)  # type: ignore[arg-type]


def test_totals_add_up_and_leave_openings_of_streams_out(reading: Reading) -> None:
    log_row(total_us=1000, request_bytes=10, response_bytes=20)
    log_row(total_us=3000, request_bytes=1, response_bytes=2, outcome="timeout", reason="first_byte_timeout")
    log_row(method="GET", tool=None, reason="opened")
    found = queries.totals(reading, view(reading))
    assert (found.calls, found.errors, found.request_bytes, found.response_bytes) == (2, 1, 11, 22)
    assert found.avg_ms == 2.0 and found.error_rate == 0.5
    assert found.p50_ms == pytest.approx(1.0, rel=0.05) and found.p99_ms == pytest.approx(3.0, rel=0.05)


def test_percentiles_are_within_five_percent_over_seven_decades(reading: Reading) -> None:
    for exponent in range(8):
        log_row(total_us=7 * 10**exponent, tool=f"t{exponent}")
    for group in queries.ranking(reading, view(reading), ("tool",)):
        exact = 7 * 10 ** int(str(group.names["tool"])[1:]) / 1000
        assert group.measures.p50_ms == pytest.approx(exact, rel=0.05)


def test_nothing_is_zero_and_no_latency(reading: Reading) -> None:
    assert queries.totals(reading, view(reading)) == queries.Measures()
    assert queries.endings(reading, view(reading)) == []
    assert queries.active_users(reading, view(reading)) == 0


def test_a_series_has_every_bucket_in_order(reading: Reading) -> None:
    log_row(ago(minutes=90))
    log_row(ago(minutes=90), outcome="denied")
    log_row(ago(minutes=1))
    points = queries.series(reading, View(reading.now - 3 * HOUR, datetime.now(UTC), EVERYTHING), 10 * MINUTE)
    assert all(after.at - before.at == 10 * MINUTE for before, after in itertools.pairwise(points))
    assert len(points) in (19, 20) and sum(point.measures.calls for point in points) == 3
    assert max(point.measures.calls for point in points) == 2
    assert [point.measures.errors for point in points if point.measures.errors] == [1]
    assert all((point.measures.p95_ms is None) == (point.measures.calls == 0) for point in points)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (("user_id",), [("alice", 2), ("bob", 1)]),
        (("namespace",), [("demo", 3)]),
        (("tool", "namespace"), [("echo", "demo", 2), ("add", "demo", 1)]),
        (("key_id", "user_id"), [(7, "bob", 1)]),
        (("upstream",), [("demo", 3)]),
    ],
)
def test_rankings_group_by_any_names(reading: Reading, by: tuple[str, ...], expected: list[tuple[object, ...]]) -> None:
    log_row()
    log_row()
    log_row(user_id="bob", tool="add", key_id=7)
    found = queries.ranking(reading, view(reading), by)
    assert [(*group.names.values(), group.measures.calls) for group in found] == expected


def test_rankings_order_by_what_was_asked(reading: Reading) -> None:
    for _ in range(3):
        log_row(tool="often", total_us=1000, request_bytes=1, response_bytes=1)
    log_row(tool="slow", total_us=900_000, request_bytes=1, response_bytes=1)
    log_row(tool="broken", total_us=10, outcome="tool_error", request_bytes=1, response_bytes=1)
    log_row(tool="large", total_us=10, response_bytes=10**9)
    first = {
        order: queries.ranking(reading, view(reading), ("tool",), order)[0].names["tool"] for order in queries.ORDERS
    }
    assert first == {
        "calls": "often",
        "errors": "broken",
        "error_rate": "broken",
        "avg": "slow",
        "p95": "slow",
        "bytes": "large",
    }
    assert [group.names["tool"] for group in queries.ranking(reading, view(reading), ("tool",), min_calls=2)] == [
        "often"
    ]


def test_different_users_are_counted(reading: Reading) -> None:
    log_row()
    log_row()
    log_row(user_id="bob")
    (group,) = queries.ranking(reading, view(reading), ("tool", "namespace"), count_users=True)
    assert group.users == 2 and queries.active_users(reading, view(reading)) == 2


def test_endings_name_outcome_and_reason(reading: Reading) -> None:
    log_row()
    log_row()
    log_row(outcome="limited", reason="rate_limited")
    log_row(outcome="tool_error")
    assert [(ending.outcome, ending.reason, ending.calls) for ending in queries.endings(reading, view(reading))] == [
        ("ok", None, 2),
        ("limited", "rate_limited", 1),
        ("tool_error", None, 1),
    ]


def test_names_that_strangers_make_up_stand_under_the_empty_one(reading: Reading) -> None:
    log_row(namespace="made-up", user_id=None, tool=None, outcome="unauthenticated", reason="credential_unknown")
    log_row(namespace="made-up-too", outcome="denied", reason="namespace_unknown", tool="made-up")
    assert queries.ranking(reading, view(reading), ("namespace",)) == []
    assert queries.totals(reading, view(reading)).calls == 2


@pytest.mark.parametrize(
    ("scope", "calls"),
    [
        (EVERYTHING, 3),
        (Scope(namespaces=("demo",)), 2),
        (Scope(user_ids=("alice",)), 2),
        (Scope(("demo",), ("alice",)), 1),
        (Scope(("demo",), ("alice", "bob")), 2),
        (Scope(namespaces=()), 0),
        (Scope(user_ids=()), 0),
    ],
)
def test_a_scope_bounds_every_answer(reading: Reading, scope: Scope, calls: int) -> None:
    log_row()
    log_row(user_id="bob")
    log_row(namespace="other", upstream="other")
    asked = view(reading, scope)
    assert queries.totals(reading, asked).calls == calls
    assert sum(group.measures.calls for group in queries.ranking(reading, asked, ("tool",))) == calls
    assert sum(ending.calls for ending in queries.endings(reading, asked)) == calls
    assert sum(point.measures.calls for point in queries.series(reading, asked, HOUR)) == calls
    assert len(queries.calls(reading, asked, CallFilter()).calls) == calls
    assert queries.totals(reading, view(reading, scope, namespace="nowhere")).calls == 0


def test_pages_of_calls_follow_each_other_though_times_are_equal_and_rows_arrive(reading: Reading) -> None:
    moment = ago(hours=2)
    rows = [log_row(moment if number % 3 else ago(minutes=number)).id for number in range(25)]
    seen: list[str] = []
    cursor = None
    while True:
        page = queries.calls(reading, view(reading), CallFilter(), limit=4, cursor=cursor)
        seen += [call.id.hex for call in page.calls]
        log_row()  # newer than the first page
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) and set(seen) == set(rows)


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "bm90aGluZw", "é", "a" * 5000])
def test_a_cursor_that_no_page_gave_out_is_refused(reading: Reading, cursor: str) -> None:
    if not cursor:
        return
    with pytest.raises(queries.InvalidCursorError):
        queries.calls(reading, view(reading), CallFilter(), cursor=cursor)


def test_calls_are_filtered(reading: Reading) -> None:
    log_row(tool="slow", total_us=2_000_000)
    log_row(outcome="timeout", reason="first_byte_timeout", request_id="r1")
    log_row(method="tools/list", tool=None)

    def found(**wanted: object) -> int:
        return len(queries.calls(reading, view(reading), CallFilter(**wanted)).calls)  # type: ignore[arg-type]

    assert (found(), found(errors_only=True), found(outcome="ok"), found(reason="first_byte_timeout")) == (3, 1, 2, 1)
    assert (found(slower_than_us=1_000_000), found(method="tools/list"), found(request_id="r1")) == (1, 1, 1)


def test_one_call_is_found_within_the_scope_only_and_addresses_are_for_some(reading: Reading) -> None:
    row = log_row(client_address="10.1.2.3")
    identifier = uuid.UUID(hex=str(row.id))
    assert queries.call(reading, EVERYTHING, identifier).client_address == "10.1.2.3"  # type: ignore[union-attr]
    assert queries.call(reading, Scope(user_ids=("alice",)), identifier).client_address is None  # type: ignore[union-attr]
    assert queries.call(reading, Scope(user_ids=("bob",)), identifier) is None
    assert queries.call(reading, Scope(namespaces=()), identifier) is None
    assert queries.call(reading, EVERYTHING, uuid.uuid4()) is None
