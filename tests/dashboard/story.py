"""Two weeks in the life of a gateway, with something to find: a tool that became slow, a user whose calls failed
yesterday, an agent at work within the last hour, and a week that is busier than the last."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.conninfo import conninfo_to_dict

from analytics import partitions
from analytics.database import connect

DAYS = 15
CALLS_A_DAY = 2600
SLOW_TOOL = ("warehouse", "run_query")
SLOW_FOR = timedelta(days=3)
SLOW_TIMES = 3.1
TROUBLED_USER, TROUBLED_NAMESPACE = "ci-runner", "github"
WATCHED_USER = "alice"

# namespace -> upstream, tools with their median milliseconds
NAMESPACES: dict[str, tuple[str, dict[str, float]]] = {
    "docs": ("docs-mcp", {"search": 42, "get_page": 18, "list_spaces": 9}),
    "github": ("github-mcp", {"search_code": 160, "get_file": 60, "create_pull_request": 420, "list_issues": 85}),
    "tickets": ("jira-mcp", {"search_issues": 140, "add_comment": 210, "get_issue": 70}),
    "warehouse": ("warehouse-mcp", {"run_query": 190, "list_tables": 25, "describe_table": 31}),
    "calendar": ("calendar-mcp", {"find_slot": 120, "create_event": 180}),
}
_WEIGHTS = {"docs": 8, "github": 6, "tickets": 4, "warehouse": 3, "calendar": 1}
USERS = {"alice": 8, "bob": 6, "carla": 5, "ci-runner": 5, "dimitri": 3, "emi": 2, "farid": 1}
KEYS = {name: number for number, name in enumerate(USERS, start=101)}
_FAILURES = (
    ("tool_error", None, 200),
    ("upstream_error", "upstream_unreachable", 502),
    ("timeout", "first_byte_timeout", 504),
    ("limited", "rate_limited", 429),
    ("denied", "tool_denied", 200),
    ("client_gone", None, 200),
)
COLUMNS = (
    "at id namespace upstream key_id user_id method tool outcome reason http_status jsonrpc_code total_us auth_us"
    " limit_us upstream_us first_byte_us request_bytes response_bytes protocol_version client_name client_address"
    " request_id"
).split()


@dataclass(frozen=True, slots=True)
class Row:
    """One call of the story; the fields are columns of the request log."""

    at: datetime
    id: uuid.UUID
    namespace: str
    upstream: str
    key_id: int
    user_id: str
    method: str
    tool: str | None
    outcome: str = "ok"
    reason: str | None = None
    http_status: int = 200
    jsonrpc_code: int | None = None
    total_us: int = 0
    auth_us: int | None = None
    limit_us: int | None = None
    upstream_us: int | None = None
    first_byte_us: int | None = None
    request_bytes: int = 240
    response_bytes: int = 1800
    protocol_version: str = "2025-11-25"
    client_name: str = "claude-code 2.1"
    client_address: str = "10.4.0.17"
    request_id: str = ""


def tell(now: datetime) -> list[Row]:
    """Return the rows of the story, the oldest first."""
    chance = random.Random(20261121)
    rows = [row for day in range(DAYS, -1, -1) for row in _day(chance, now, day)]
    rows += _yesterdays_trouble(chance, now)
    rows += _an_hour_of_work(chance, now)
    return sorted((row for row in rows if row.at < now), key=lambda row: row.at)


def _day(chance: random.Random, now: datetime, ago: int) -> Iterator[Row]:
    """Yield one day's calls: quiet nights, quieter weekends, the present week a fifth busier."""
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=ago)
    busy = (0.45 if start.weekday() >= 5 else 1.0) * (1.22 if ago < 7 else 1.0)
    for _ in range(int(CALLS_A_DAY * busy)):
        at = start + timedelta(hours=min(max(chance.gauss(13, 4.2), 0), 23.99))
        namespace = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        user = chance.choices(list(USERS), list(USERS.values()))[0]
        row = _call(chance, at, namespace, user, now)
        yield _failed(chance, row) if chance.random() < 0.012 else row


def _call(
    chance: random.Random, at: datetime, namespace: str, user: str, now: datetime, tool: str | None = None
) -> Row:
    upstream, tools = NAMESPACES[namespace]
    name = tool or chance.choices(list(tools), [8, 5, 2, 3][: len(tools)])[0]
    median = tools[name] * (SLOW_TIMES if (namespace, name) == SLOW_TOOL and at > now - SLOW_FOR else 1)
    upstream_us = int(median * 1000 * chance.lognormvariate(0, 0.45))
    auth_us, limit_us = chance.randint(40, 90), chance.randint(110, 240)
    return Row(
        at=at,
        id=uuid.UUID(int=chance.getrandbits(128), version=4),
        namespace=namespace,
        upstream=upstream,
        key_id=KEYS[user],
        user_id=user,
        method="tools/call",
        tool=name,
        total_us=upstream_us + limit_us + 90,
        auth_us=auth_us,
        limit_us=limit_us,
        upstream_us=upstream_us,
        first_byte_us=int(upstream_us * chance.uniform(0.8, 0.97)),
        request_bytes=chance.randint(140, 900),
        response_bytes=int(chance.lognormvariate(7.6, 1.0)),
        request_id=f"{chance.getrandbits(128):032x}",
    )


def _failed(chance: random.Random, row: Row) -> Row:
    outcome, reason, status = chance.choice(_FAILURES)
    if outcome in ("limited", "denied"):
        return replace(
            row,
            outcome=outcome,
            reason=reason,
            http_status=status,
            total_us=row.limit_us or 1,
            upstream_us=None,
            first_byte_us=None,
        )
    if outcome == "timeout":
        return replace(row, outcome=outcome, reason=reason, http_status=status, total_us=60_000_000 + row.total_us)
    return replace(row, outcome=outcome, reason=reason, http_status=status)


def _yesterdays_trouble(chance: random.Random, now: datetime) -> Iterator[Row]:
    """Yield a morning in which a build job met its limit again and again."""
    start = now.astimezone(UTC).replace(hour=8, minute=40, second=0, microsecond=0) - timedelta(days=1)
    for _ in range(420):
        row = _call(
            chance,
            start + timedelta(minutes=chance.uniform(0, 130)),
            TROUBLED_NAMESPACE,
            TROUBLED_USER,
            now,
            "search_code",
        )
        is_limited = chance.random() < 0.8
        yield replace(
            row,
            outcome="limited" if is_limited else "tool_error",
            reason="rate_limited" if is_limited else None,
            http_status=429 if is_limited else 200,
            jsonrpc_code=-31429 if is_limited else None,
            total_us=row.limit_us if is_limited else row.total_us,  # type: ignore[arg-type]
            upstream_us=None if is_limited else row.upstream_us,
            first_byte_us=None if is_limited else row.first_byte_us,
        )


def _an_hour_of_work(chance: random.Random, now: datetime) -> Iterator[Row]:
    """Yield what one user's agent did within the last hour."""
    at = now - timedelta(minutes=56)
    steps = [("docs", "search"), ("docs", "get_page"), ("github", "search_code"), ("github", "get_file")]
    steps += [("tickets", "get_issue"), ("warehouse", "run_query"), ("github", "create_pull_request")]
    while at < now - timedelta(seconds=20):
        namespace, tool = chance.choice(steps)
        row = _call(chance, at, namespace, WATCHED_USER, now, tool)
        yield _failed(chance, row) if chance.random() < 0.06 else row
        at += timedelta(seconds=chance.expovariate(1 / 26))


def store(url: str, rows: list[Row]) -> None:
    """Put rows into the log of a database whose gateway has not started yet; its keeper rolls them up."""
    with connect("tests", dict(conninfo_to_dict(url))) as connection:
        partitions.create(connection, sorted({row.at.astimezone(UTC).date() for row in rows}))
        copy_rows(connection, rows)


def copy_rows(connection: psycopg.Connection, rows: list[Row]) -> None:
    """Copy rows into the log."""
    statement = f"COPY analytics_requestlog ({', '.join(COLUMNS)}) FROM STDIN"
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([getattr(row, column) for column in COLUMNS])
