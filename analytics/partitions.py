"""The partitions of the log and its roll-ups: made before they are needed, dropped when all their rows are old enough.

Every function takes a connection of its own in autocommit mode (`analytics.database.connect`), because partitions
are attached and detached without a lock that readers or writers would notice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql

logger = logging.getLogger(__name__)

# Any number that no one else uses as an advisory lock.
_LOCK = 7_203_550_117
_FORMATS = {"day": "%Y%m%d", "month": "%Y%m", "year": "%Y"}
_DIGITS = {"day": 8, "month": 6, "year": 4}


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table with a partition each `day`, `month` or `year` (UTC); `title` is what log lines call its rows."""

    table: str
    width: str
    title: str

    def name(self, day: date) -> str:
        """Return the table that holds a day's rows."""
        return f"{self.table}_{day:{_FORMATS[self.width]}}"

    def first_day(self, day: date) -> date:
        """Return the first day of the partition that holds `day`."""
        if self.width == "day":
            return day
        return day.replace(day=1) if self.width == "month" else day.replace(month=1, day=1)

    def next_day(self, day: date) -> date:
        """Return the first day after the partition that holds `day`."""
        if self.width == "day":
            return day + timedelta(days=1)
        if self.width == "year" or day.month == 12:
            return date(day.year + 1, 1, 1)
        return date(day.year, day.month + 1, 1)

    def day_of(self, name: str) -> date | None:
        """Return the first day of the partition with this name; None where the name is no partition's."""
        match = re.fullmatch(rf"{self.table}_(\d{{{_DIGITS[self.width]}}})", name)
        return date(int(match[1][:4]), int(match[1][4:6] or 1), int(match[1][6:8] or 1)) if match else None


LOG = Partitioned("analytics_requestlog", "day", "request log")
MINUTES = Partitioned("analytics_rollup_minute", "day", "minute roll-ups")
HOURS = Partitioned("analytics_rollup_hour", "month", "hour roll-ups")
DAYS = Partitioned("analytics_rollup_day", "year", "day roll-ups")
ROLLUPS = {"minute": MINUTES, "hour": HOURS, "day": DAYS}
ALL = (LOG, *ROLLUPS.values())
TABLE = LOG.table
partition_name = LOG.name


def create(connection: psycopg.Connection, days: Iterable[date], of: Partitioned = LOG) -> int:
    """Make the partitions for `days` that do not exist and return how many were made.

    Made apart and then attached: CREATE TABLE … PARTITION OF would wait for every reader of the table.
    """
    return sum(_create_one(connection, of, day) for day in sorted({of.first_day(day) for day in days}))


def create_ahead(connection: psycopg.Connection, days: int = 3, of: Iterable[Partitioned] = (LOG,)) -> int:
    """Make the partitions of today (UTC) and of the `days` after it; return how many were made."""
    today = datetime.now(UTC).date()
    ahead = [today + timedelta(days=number) for number in range(days + 1)]
    return sum(create(connection, ahead, partitioned) for partitioned in of)


def drop_behind(connection: psycopg.Connection, retention_days: int) -> int:
    """Drop the log's partitions whose rows are all older than `retention_days`; return how many were dropped.

    Detached tables of such days go too (rename one to keep it), and what the shipper keeps about files of that age.
    """
    oldest_kept = datetime.now(UTC).date() - timedelta(days=retention_days)
    dropped = drop_before(connection, oldest_kept, LOG)
    with connection.transaction():
        connection.execute("DELETE FROM analytics_journalfile WHERE done_at < %s", (oldest_kept,))
        connection.execute("DELETE FROM analytics_journalreject WHERE at < %s", (oldest_kept,))
    return dropped


def drop_before(connection: psycopg.Connection, oldest_kept: date, of: Partitioned) -> int:
    """Drop the partitions that hold no day from `oldest_kept` on; return how many were dropped."""
    dropped = 0
    for name, day, is_attached, is_pending in existing(connection, of):
        if of.next_day(day) <= oldest_kept:
            _drop_one(connection, of, name, is_attached, is_pending)
            dropped += 1
    if dropped:
        logger.info("dropped %d partitions of the %s, all before %s", dropped, of.title, oldest_kept)
    return dropped


def attach(connection: psycopg.Connection, day: date, of: Partitioned = LOG) -> None:
    """Make the table of a day's name a partition. Indexes that it lacks are built meanwhile."""
    connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            sql.Identifier(of.table),
            sql.Identifier(of.name(day)),
            sql.Literal(f"{of.first_day(day)} 00:00:00+00"),
            sql.Literal(f"{of.next_day(day)} 00:00:00+00"),
        )
    )


def existing(connection: psycopg.Connection, of: Partitioned = LOG) -> list[tuple[str, date, bool, bool]]:
    """Return every partition's table, oldest first: name, first day, whether attached, whether a detach was cut off."""
    rows = connection.execute(
        """
        SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
        FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = %s::regclass
        WHERE c.relkind = 'r' AND starts_with(c.relname, %s) AND c.relnamespace = current_schema()::regnamespace
        ORDER BY c.relname
        """,
        (of.table, f"{of.table}_"),
    ).fetchall()
    found = ((name, of.day_of(name), attached, pending) for name, attached, pending in rows)
    return [(name, day, attached, pending) for name, day, attached, pending in found if day is not None]


def is_attached(connection: psycopg.Connection, day: date, of: Partitioned = LOG) -> bool:
    """Return whether there is a partition for `day`."""
    row = connection.execute(
        "SELECT 1 FROM pg_inherits WHERE inhparent = %s::regclass AND inhrelid = to_regclass(%s)",
        (of.table, of.name(day)),
    ).fetchone()
    return row is not None


def _create_one(connection: psycopg.Connection, of: Partitioned, day: date) -> bool:
    name, parent = sql.Identifier(of.name(day)), sql.Identifier(of.table)
    with connection.transaction():
        # Several shippers and `maintain` may want the same day at once.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if is_attached(connection, day, of):
            return False
        # A day that stands there detached, because its dropping was interrupted, comes back with its rows.
        connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING ALL)").format(name, parent))
        attach(connection, day, of)
    logger.info("made the partition of the %s for the %s of %s", of.title, of.width, day)
    return True


def _drop_one(connection: psycopg.Connection, of: Partitioned, name: str, is_attached: bool, is_pending: bool) -> None:
    parent, child = sql.Identifier(of.table), sql.Identifier(name)
    if is_attached:
        how = sql.SQL("FINALIZE" if is_pending else "CONCURRENTLY")
        connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(parent, child, how))
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(child))
