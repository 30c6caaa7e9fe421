"""The SQL of `seed_log`: invented rows, a day at a time, written to a table that is attached to the log afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

import psycopg
from psycopg import sql

from analytics import partitions
from analytics.seed_names import World

# The share of each hour of a day (UTC), and of the days of a week from Monday on.
_HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 9, 11, 12, 11, 10, 8, 6, 5, 4, 4, 3, 2)
_WEEK = (1.0, 1.05, 1.1, 1.05, 0.95, 0.3, 0.25)
_HOUR = timedelta(hours=1)
# How long ago the tool that became slow did so.
SLOW_SINCE = timedelta(days=3)

# What goes wrong: weight, outcome, reason, HTTP status, JSON-RPC code, and how far the call came: 0 the caller is not
# known, 1 the namespace is not known, 2 the upstream was not asked, 3 the upstream was asked.
_FAILURES = (
    (30, "tool_error", None, 200, None, 3),
    (12, "rpc_error", None, 200, -32602, 3),
    (3, "rpc_error", "upstream_status", 500, None, 3),
    (9, "denied", "tool_denied", 200, -32602, 2),
    (3, "denied", "name_unknown", 200, -32602, 2),
    (2, "denied", "session_unknown", 404, -32600, 2),
    (2, "denied", "namespace_unknown", 404, -32600, 1),
    (12, "limited", "rate_limited", 429, -31429, 2),
    (4, "unauthenticated", "credential_unknown", 401, -32600, 0),
    (2, "unauthenticated", "key_expired", 401, -32600, 0),
    (1, "unauthenticated", "key_revoked", 401, -32600, 0),
    (2, "invalid", "json_invalid", 400, -32700, 2),
    (2, "invalid", "header_mismatch", 400, -32020, 2),
    (4, "upstream_error", "upstream_unreachable", 502, -32603, 3),
    (2, "upstream_error", "answer_invalid", 502, -32603, 3),
    (4, "timeout", "first_byte_timeout", 504, -32603, 3),
    (2, "timeout", "total_timeout", 504, -32603, 3),
    (3, "client_gone", None, 499, None, 3),
    (1, "unavailable", "shutdown", 503, None, 2),
)

_TABLES = """
CREATE TEMP TABLE seed_tool (
    place integer, number integer, namespace text, upstream text, tool text, usual_us float8, slower float8
);
CREATE TEMP TABLE seed_user (number integer, user_id text, keys bigint[], session text);
CREATE TEMP TABLE seed_failure (slot integer, outcome text, reason text, status integer, code integer, came integer);
CREATE TEMP TABLE seed_hour (begins timestamptz, span interval, calls integer);
"""

# Ranks follow Zipf's law with exponent 1: floor((n + 1) ^ u) is k about as often as 1 / k. Three uniform numbers make
# a bell, and its exponential a log-normal latency. Yesterday one user's calls failed often.
_ROWS = """
INSERT INTO {table} (id, at, namespace, upstream, key_id, user_id, method, tool, outcome, reason, http_status,
    jsonrpc_code, total_us, upstream_us, first_byte_us, request_bytes, response_bytes, protocol_version, client_name,
    session, client_address, request_id, trace_id, auth_us, limit_us)
SELECT id, at, CASE WHEN coalesce(came, 3) >= 2 THEN namespace END, CASE WHEN coalesce(came, 3) >= 2 THEN upstream END,
    CASE WHEN coalesce(came, 3) >= 1 THEN key_id END, CASE WHEN coalesce(came, 3) >= 1 THEN user_id END,
    CASE WHEN coalesce(came, 3) < 2 THEN 'POST' ELSE method END,
    CASE WHEN coalesce(came, 3) >= 2 AND method = 'tools/call' THEN tool
         WHEN coalesce(came, 3) >= 2 AND method = 'resources/read' THEN 'doc://' || namespace || '/' || floor(luck * 40) END,
    coalesce(outcome, 'ok'), reason, coalesce(status, 200), code, total_us,
    CASE WHEN coalesce(came, 3) = 3 THEN total_us - limit_us END,
    CASE WHEN coalesce(came, 3) = 3 AND coalesce(reason, '') <> 'first_byte_timeout' THEN (total_us - limit_us) * 9 / 10 END,
    (180 + luck * 500)::bigint, CASE WHEN came < 3 THEN 160 ELSE (250 + luck * luck * 24000)::bigint END,
    CASE WHEN coalesce(came, 3) >= 2 THEN '2025-11-25' END, client, CASE WHEN coalesce(came, 3) >= 2 THEN session END,
    address, encode(uuid_send(id), 'hex'), encode(uuid_send(id), 'hex'), auth_us,
    CASE WHEN coalesce(came, 3) >= 2 THEN limit_us END
FROM (
    SELECT drawn.*, seed_tool.*, user_id, keys[1 + drawn.which_key %% cardinality(keys)] AS key_id, session, failure.*,
        'client-' || drawn.who %% 9 || '/1.' || drawn.who %% 5 AS client,
        '10.' || drawn.who %% 4 || '.' || drawn.who %% 200 || '.' || 10 + drawn.who %% 90 AS address,
        CASE WHEN came < 3 THEN 150 + (luck * 900)::bigint
             WHEN reason LIKE '%%_timeout' THEN 30000000 + (luck * 900)::bigint
             ELSE 900 + (usual_us * CASE WHEN drawn.at >= %(slow_since)s THEN slower ELSE 1 END
                * CASE method WHEN 'tools/call' THEN 1 ELSE 0.2 END * exp(bell * 0.6))::bigint END AS total_us
    FROM (
        SELECT gen_random_uuid() AS id, begins + span * ((turn - random()) / calls) AS at, random() AS luck,
            2 * (random() + random() + random()) - 3 AS bell,
            floor((%(namespaces)s + 1) ^ random())::int AS place, floor((%(tools)s + 1) ^ random())::int AS number,
            floor((%(users)s + 1) ^ random())::int AS who, floor(random() * 3)::int AS which_key,
            (ARRAY['tools/call', 'tools/call', 'tools/call', 'tools/call', 'tools/call', 'tools/call', 'tools/call',
                'tools/call', 'tools/call', 'tools/call', 'tools/call', 'tools/call', 'tools/call', 'tools/call',
                'tools/call', 'tools/call', 'tools/list', 'tools/list', 'resources/read', 'initialize']
            )[1 + floor(random() * 20)::int] AS method,
            floor(random() * 2500)::int AS fate, 25 + (random() * 60)::bigint AS auth_us,
            90 + (random() * 300)::bigint AS limit_us
        FROM seed_hour, generate_series(1, calls) AS turn
    ) AS drawn
    JOIN seed_tool USING (place, number)
    JOIN seed_user ON seed_user.number = drawn.who
    LEFT JOIN seed_failure AS failure
        ON failure.slot = CASE WHEN drawn.who = 7 AND %(is_yesterday)s THEN drawn.fate %% 300 ELSE drawn.fate END
) AS invented
"""  # noqa: E501

# Long streams: opened and, ten minutes and more later, closed.
_STREAMS = """
INSERT INTO {table} (id, at, namespace, upstream, key_id, user_id, method, outcome, reason, http_status, total_us,
    request_bytes, response_bytes, protocol_version, auth_us, limit_us)
SELECT gen_random_uuid(), %(begin)s::timestamptz + stream * '1 minute'::interval, namespace, upstream, keys[1], user_id,
    'GET', 'ok', reason, 200, CASE reason WHEN 'closed' THEN 600000000 + stream * 1000000 ELSE 2000 END, 0,
    CASE reason WHEN 'closed' THEN 5000 * stream ELSE 0 END, '2025-11-25', 40, 120
FROM generate_series(1, %(streams)s) AS stream
JOIN seed_tool ON place = 1 + stream %% %(namespaces)s AND seed_tool.number = 1
JOIN seed_user ON seed_user.number = 1 + stream %% %(users)s, (VALUES ('opened'), ('closed')) AS turn (reason)
"""
# One call of so many is a stream.
_CALLS_A_STREAM = 20_000

Hour = tuple[datetime, timedelta, int]


def rhythm(rows: int, days: int, now: datetime) -> dict[date, list[Hour]]:
    """Spread `rows` over the hours of today, up to `now`, and of the whole days before it, `days` in all.

    Returns for each day its hours: when each begins, how long it is, and its number of calls.
    """
    first = datetime.combine(now.date() - timedelta(days=days - 1), time(), UTC)
    hours = [first + timedelta(hours=number) for number in range((now - first) // _HOUR + 1)]
    spans = [min(_HOUR, now - hour) for hour in hours]
    weights = [
        # At midnight the only hour of the only day has no length yet.
        _HOURS[hour.hour] * _WEEK[hour.weekday()] * (span / _HOUR) + 1e-9
        for hour, span in zip(hours, spans, strict=True)
    ]
    found: dict[date, list[Hour]] = {}
    total, spent, so_far = sum(weights), 0, 0.0
    for hour, span, weight in zip(hours, spans, weights, strict=True):
        so_far += weight
        due = round(rows * so_far / total)
        found.setdefault(hour.date(), []).append((hour, span, due - spent))
        spent = due
    return found


def prepare(connection: psycopg.Connection, world: World) -> None:
    """Put the world into temporary tables that `fill` joins."""
    connection.execute(_TABLES)
    connection.execute("SET maintenance_work_mem = '256MB'; SET work_mem = '64MB'; SET jit = off")
    upstreams = dict(world.mounts)
    places = {namespace: place for place, (namespace, _) in enumerate(world.mounts, 1)}
    a_namespace = len(world.tools) // len(world.mounts)
    tools = [
        (places[tool.namespace], 1 + number % a_namespace, tool.namespace, upstreams[tool.namespace], tool.name)
        + (tool.usual_us, tool.slower)
        for number, tool in enumerate(world.tools)
    ]
    users = [(number, user, list(keys), f"{number:032x}") for number, (user, keys) in enumerate(world.users, 1)]
    slots = [failure[1:] for failure in _FAILURES for _ in range(failure[0])]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO seed_tool VALUES (%s, %s, %s, %s, %s, %s, %s)", tools)
        cursor.executemany("INSERT INTO seed_user VALUES (%s, %s, %s, %s)", users)
        cursor.executemany(
            "INSERT INTO seed_failure VALUES (%s, %s, %s, %s, %s, %s)",
            [(number, *slot) for number, slot in enumerate(slots)],
        )
    connection.execute("ANALYZE seed_tool; ANALYZE seed_user; ANALYZE seed_failure")


def fill(connection: psycopg.Connection, world: World, day: date, hours: Iterable[Hour], today: date) -> int:
    """Fill a day of the log and return its number of rows.

    A table without indexes is filled and attached then, which is several times faster than the other way round.
    """
    hours = list(hours)
    count = sum(calls for *_, calls in hours)
    streams = count // _CALLS_A_STREAM
    if streams:
        hours = [
            (begins, span, calls - (2 * streams if begins == max(hours)[0] else 0)) for begins, span, calls in hours
        ]
    table = sql.Identifier(partitions.partition_name(day))
    parameters = {
        "namespaces": len(world.mounts),
        "users": len(world.users),
        "tools": len(world.tools) // len(world.mounts),
        "slow_since": datetime.combine(today, time(), UTC) - SLOW_SINCE,
        "is_yesterday": day == today - timedelta(days=1),
        "begin": min(hours)[0],
        "streams": streams,
    }
    with connection.transaction():
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(table, sql.Identifier(partitions.TABLE)))
        connection.execute("TRUNCATE seed_hour")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO seed_hour VALUES (%s, %s, %s)", hours)
        filled = connection.execute(sql.SQL(_ROWS).format(table=table), parameters).rowcount
        filled += connection.execute(sql.SQL(_STREAMS).format(table=table), parameters).rowcount
        partitions.attach(connection, day)
    return filled
