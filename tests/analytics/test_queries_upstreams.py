"""What the traffic says of each upstream, from the log itself and added up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics import queries
from analytics.queries import UpstreamCalls, View
from keys.visibility import Scope
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db


def test_calls_and_failures_by_upstream() -> None:
    now = datetime.now(UTC)
    for outcome, reason, number in (
        ("ok", None, 4),
        ("tool_error", None, 2),
        ("timeout", "first_byte_timeout", 3),
        ("upstream_error", "upstream_unreachable", 1),
        ("denied", "name_denied", 1),
    ):
        for _ in range(number):
            log_row(now - timedelta(seconds=20), upstream="one", outcome=outcome, reason=reason)
    log_row(now - timedelta(seconds=20), upstream="two")
    log_row(now - timedelta(minutes=10), upstream="three", outcome="timeout")
    log_row(now - timedelta(seconds=20), upstream=None, outcome="unauthenticated")
    with queries.reading() as reading:
        found = queries.upstream_calls(reading, View(now - timedelta(minutes=1), now, Scope()))
    assert found == {"one": UpstreamCalls(11, 4, "first_byte_timeout"), "two": UpstreamCalls(1)}
