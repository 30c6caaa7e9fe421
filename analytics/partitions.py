"""The request log's daily partitions: made before they are needed, dropped when their rows are old enough.

Every function takes a connection of its own in autocommit mode (`analytics.database.connect`), because partitions
are attached and detached without a lock that readers or writers would notice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql

logger = logging.getLogger(__name__)

TABLE = "analytics_requestlog"
# Any number that no one else uses as an advisory lock.
_LOCK = 7_203_550_117
_NAME = re.compile(rf"{TABLE}_(\d{{4}})(\d\d)(\d\d)")


def partition_name(day: date) -> str:
    """Return the table that holds a day's rows."""
    return f"{TABLE}_{day:%Y%m%d}"


def create(connection: psycopg.Connection, days: Iterable[date]) -> int:
    """Make the partitions of `days` that do not exist and return how many were made.

    Made apart and then attached: CREATE TABLE … PARTITION OF would wait for every reader of the log.
    """
    return sum(_create_one(connection, day) for day in sorted(set(days)))


def create_ahead(connection: psycopg.Connection, days: int = 3) -> int:
    """Make the partitions of today (UTC) and of the `days` after it; return how many were made."""
    today = datetime.now(UTC).date()
    return create(connection, (today + timedelta(days=ahead) for ahead in range(days + 1)))


def drop_behind(connection: psycopg.Connection, retention_days: int) -> int:
    """Drop the partitions whose rows are all older than `retention_days`; return how many were dropped.

    Detached tables of such days go too (rename one to keep it), and what the shipper keeps about files of that age.
    """
    oldest_kept = datetime.now(UTC).date() - timedelta(days=retention_days)
    dropped = 0
    for name, day, is_attached, is_pending in existing(connection):
        if day < oldest_kept:
            _drop_one(connection, name, is_attached, is_pending)
            dropped += 1
    with connection.transaction():
        connection.execute("DELETE FROM analytics_journalfile WHERE done_at < %s", (oldest_kept,))
        connection.execute("DELETE FROM analytics_journalreject WHERE at < %s", (oldest_kept,))
    if dropped:
        logger.info("dropped %d days of the request log, all before %s", dropped, oldest_kept)
    return dropped


def attach(connection: psycopg.Connection, day: date) -> None:
    """Make the table of a day's name a partition. Indexes that it lacks are built meanwhile."""
    connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            sql.Identifier(TABLE),
            sql.Identifier(partition_name(day)),
            sql.Literal(f"{day} 00:00:00+00"),
            sql.Literal(f"{day + timedelta(days=1)} 00:00:00+00"),
        )
    )


def existing(connection: psycopg.Connection) -> list[tuple[str, date, bool, bool]]:
    """Return every day table, oldest first: name, day, whether it is attached, whether a detach was interrupted."""
    rows = connection.execute(
        """
        SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
        FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = %s::regclass
        WHERE c.relkind = 'r' AND c.relname ~ %s AND c.relnamespace = current_schema()::regnamespace
        ORDER BY c.relname
        """,
        (TABLE, rf"^{TABLE}_\d{{8}}$"),
    ).fetchall()
    found = ((name, _NAME.fullmatch(name), attached, pending) for name, attached, pending in rows)
    return [
        (name, date(*(int(part) for part in match.groups())), attached, pending)
        for name, match, attached, pending in found
        if match
    ]


def _create_one(connection: psycopg.Connection, day: date) -> bool:
    name = sql.Identifier(partition_name(day))
    parent = sql.Identifier(TABLE)
    with connection.transaction():
        # Several shippers and `maintain` may want the same day at once.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        attached = connection.execute(
            "SELECT 1 FROM pg_inherits WHERE inhparent = %s::regclass AND inhrelid = to_regclass(%s)",
            (TABLE, partition_name(day)),
        ).fetchone()
        if attached:
            return False
        # A day that stands there detached, because its dropping was interrupted, comes back with its rows.
        connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING ALL)").format(name, parent))
        attach(connection, day)
    logger.info("made the request log's partition for %s", day)
    return True


def _drop_one(connection: psycopg.Connection, name: str, is_attached: bool, is_pending: bool) -> None:
    parent, child = sql.Identifier(TABLE), sql.Identifier(name)
    if is_attached:
        how = sql.SQL("FINALIZE" if is_pending else "CONCURRENTLY")
        connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(parent, child, how))
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(child))
