"""What clients remember, held against what the request log says."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from tests.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many answered calls are missing from the log, how many ids it has twice, and how long shipping took."""

    missing: int
    doubled: int
    waited_s: float


def rows_of(gateway: Gateway, name: str, outcome: str | None = None) -> Counter[str]:
    """Count the rows of each request id that begins with `name-`."""
    statement = "SELECT request_id, outcome FROM analytics_requestlog WHERE request_id LIKE %s"
    rows = gateway.query(statement, f"{name}-%")
    return Counter(str(request_id) for request_id, found in rows if outcome in (None, found))


def compare(gateway: Gateway, name: str, answered: set[str], within_s: float = 60) -> Comparison:
    """Wait until every answered call is on record, or for `within_s`, then a moment longer for doubles."""
    begun = time.monotonic()
    while (missing := answered - (rows := rows_of(gateway, name)).keys()) and time.monotonic() < begun + within_s:
        time.sleep(0.1)
    waited_s = time.monotonic() - begun
    time.sleep(1)
    rows = rows_of(gateway, name)
    return Comparison(len(missing), sum(count > 1 for count in rows.values()), waited_s)
