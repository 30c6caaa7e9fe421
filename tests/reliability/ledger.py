"""What clients remember, held against what the request log says."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many answered calls are missing from the log, how many ids it has twice, and how long shipping took."""

    missing: int
    doubled: int
    waited_s: float


_ALL_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def rows_of(gateway: Gateway, name: str, outcome: str | None = None, since: datetime = _ALL_TIME) -> Counter[str]:
    """Count the rows of each request id that begins with `name-`, of calls that began at `since` or later."""
    statement = "SELECT request_id, outcome FROM analytics_requestlog WHERE request_id LIKE %s AND at >= %s"
    rows = gateway.query(statement, f"{name}-%", since)
    return Counter(str(request_id) for request_id, found in rows if outcome in (None, found))


def compare(
    gateway: Gateway, name: str, answered: set[str], within_s: float = 60, since: datetime = _ALL_TIME
) -> Comparison:
    """Wait until every answered call is on record, or for `within_s`, then a moment longer for doubles."""
    begun = time.monotonic()
    while missing := answered - rows_of(gateway, name, since=since).keys():
        if time.monotonic() > begun + within_s:
            break
        time.sleep(0.1)
    waited_s = time.monotonic() - begun
    time.sleep(1)
    rows = rows_of(gateway, name, since=since)
    return Comparison(len(missing), sum(count > 1 for count in rows.values()), waited_s)
