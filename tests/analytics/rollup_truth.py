"""What the roll-ups must say: the log's rows added up in Python, and what the tables say, in one form."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from analytics import partitions
from analytics.rollup_cuts import CUTS, FAILURES, GRAINS

REFUSED_NAMES = ("tool_denied", "name_unknown", "name_denied")
COLUMNS = (
    *("at", "namespace", "upstream", "user_id", "key_id", "method", "tool", "outcome", "reason"),
    *("total_us", "request_bytes", "response_bytes"),
)
_GRAINS_OF = {cut.number: cut.grains for cut in CUTS}
_WITHOUT_OLD_HOURS = {cut.number for cut in CUTS if not cut.keeps_hours}
# (grain, unit's beginning, cut's number, names by column)
Group = tuple[str, datetime, int, tuple[tuple[str, Any], ...]]


@dataclass(slots=True)
class Sums:
    """Calls, sums and outcomes of a group; `bins` counts calls by latency bin, `durations` are microseconds."""

    calls: int = 0
    total_us: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    bins: dict[int, int] = field(default_factory=dict)
    durations: list[int] = field(default_factory=list, compare=False)

    def percentile_us(self, share: float) -> float:
        """Return the percentile that the histogram gives: the middle of the bin that holds it."""
        wanted, seen = max(1, math.ceil(share * self.calls)), 0
        for number, calls in sorted(self.bins.items()):
            seen += calls
            if seen >= wanted:
                return 1.0 if number == 0 else 1.1**number * 2 / 2.1
        raise AssertionError("the histogram holds fewer calls than the group")


def truth(
    connection: psycopg.Connection, until: datetime, grains: tuple[str, ...] = tuple(GRAINS)
) -> dict[Group, Sums]:
    """Return every group that the log's rows before `until` make, of units that are over (minutes: that have begun)."""
    found: dict[Group, Sums] = defaultdict(Sums)
    rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM analytics_requestlog WHERE at < %s", (until,))
    for values in rows:
        row = dict(zip(COLUMNS, values, strict=True))
        if row["reason"] == "opened":
            continue
        for number, names in _memberships(row):
            for grain in grains:
                if grain not in _GRAINS_OF[number]:
                    continue
                unit = beginning(row["at"], grain)
                if grain == "minute" or unit + GRAINS[grain] <= until:
                    _count(found[grain, unit, number, tuple(sorted(names.items()))], row)
    return dict(found)


def _memberships(row: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the cuts that a row counts for, with the names that they keep of it; written from the contract."""
    known = row["key_id"] is not None or row["user_id"] is not None
    space = (row["namespace"] or "") if known and row["reason"] != "namespace_unknown" else ""
    where = {"namespace": space, "upstream": row["upstream"]}
    who = {"user_id": row["user_id"], "key_id": row["key_id"]}
    is_tool = row["tool"] is not None and row["method"] == "tools/call" and row["reason"] not in REFUSED_NAMES
    yield 7, {}
    yield 1, where
    if row["user_id"] is not None:
        yield 2, {"user_id": row["user_id"]}
        yield 3, where | who
    if is_tool:
        yield 4, where | {"tool": row["tool"]}
        if row["user_id"] is not None:
            yield 5, where | who | {"tool": row["tool"]}
    if row["outcome"] != "ok":
        believed = row["method"] == "tools/call" and row["outcome"] not in ("denied", "invalid", "unauthenticated")
        yield 6, where | who | {"tool": row["tool"] if believed else None, "reason": row["reason"]}
        yield 8, where | {"reason": row["reason"]}


def _count(sums: Sums, row: dict[str, Any]) -> None:
    sums.calls += 1
    sums.total_us += row["total_us"]
    sums.request_bytes += row["request_bytes"]
    sums.response_bytes += row["response_bytes"]
    if row["outcome"] != "ok":
        sums.failures[row["outcome"]] = sums.failures.get(row["outcome"], 0) + 1
    number = math.ceil(math.log(max(row["total_us"], 1)) / math.log(1.1))
    sums.bins[number] = sums.bins.get(number, 0) + 1
    sums.durations.append(row["total_us"])


def kept(connection: psycopg.Connection, grains: Iterable[str] = GRAINS) -> dict[Group, Sums]:
    """Return every group that the tables hold; a minute's slices are one group."""
    found: dict[Group, Sums] = defaultdict(Sums)
    for grain in grains:
        for cut in CUTS:
            columns = ("at", *cut.names, "calls", "total_us", "request_bytes", "response_bytes", *FAILURES, "latency")
            rows = connection.execute(
                f"SELECT {', '.join(columns)}, errors FROM analytics_rollup_{grain} WHERE cut = {cut.number}"
            )
            for *values, errors in rows:
                row = dict(zip(columns, values, strict=True))
                names = tuple(sorted((name, row[name]) for name in cut.names))
                sums = found[grain, beginning(row["at"], grain), cut.number, names]
                _add(sums, row)
                assert errors == sum(row[name] or 0 for name in FAILURES)
    return dict(found)


def due(groups: dict[Group, Sums], reach: datetime) -> dict[Group, Sums]:
    """Leave out what may be there or not when the roll-ups reach so far: old hours of cuts that do not keep them."""
    yesterday = beginning(reach, "day") - timedelta(days=1)
    return {
        group: sums
        for group, sums in groups.items()
        if group[0] != "hour" or group[2] not in _WITHOUT_OLD_HOURS or group[1] >= yesterday
    }


def _add(sums: Sums, row: dict[str, Any]) -> None:
    for name in ("calls", "total_us", "request_bytes", "response_bytes"):
        setattr(sums, name, getattr(sums, name) + row[name])
    for name in FAILURES:
        if row[name] is not None:
            sums.failures[name] = sums.failures.get(name, 0) + row[name]
    numbers = [element >> 48 for element in row["latency"]]
    assert len(set(numbers)) == len(numbers), "a row holds a bin twice"
    for element in row["latency"]:
        number, calls = element >> 48, element & ((1 << 48) - 1)
        sums.bins[number] = sums.bins.get(number, 0) + calls


def beginning(moment: datetime, grain: str) -> datetime:
    """Return the beginning of the minute, hour or day of a moment."""
    moment = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if grain == "minute":
        return moment
    return moment.replace(minute=0) if grain == "hour" else moment.replace(hour=0, minute=0)


def store(connection: psycopg.Connection, rows: list[dict[str, Any]], marked: bool = True) -> None:
    """Commit rows as the shipper does: with their partitions, and in one transaction with their minutes' marks."""
    partitions.create(connection, {row["at"].astimezone(UTC).date() for row in rows})
    firsts: dict[datetime, datetime] = {}
    for row in rows:
        minute = beginning(row["at"], "minute")
        firsts[minute] = min(row["at"], firsts.get(minute, row["at"]))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO analytics_requestlog (id, http_status, {', '.join(COLUMNS)})"
            f" VALUES (%(id)s, 200, {', '.join(f'%({name})s' for name in COLUMNS)})",
            rows,
        )
        if marked:
            cursor.executemany(
                "INSERT INTO analytics_staleminute (minute) VALUES (%s)", [(moment,) for moment in firsts.values()]
            )


def call(at: datetime, **values: Any) -> dict[str, Any]:
    """Return a row: a good call of alice's, but for what is given."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {
        "id": os.urandom(16).hex(),
        "at": at,
        "namespace": "demo",
        "upstream": "files",
        "user_id": "alice",
        "key_id": 1,
        "method": "tools/call",
        "tool": "echo",
        "outcome": "ok",
        "total_us": 1500,
        "request_bytes": 100,
        "response_bytes": 1000,
    }
    return row | values


def days_of(groups: dict[Group, Sums], grain: str) -> set[date]:
    """Return the days that a grain has groups of."""
    return {unit.date() for found, unit, *_ in groups if found == grain}
