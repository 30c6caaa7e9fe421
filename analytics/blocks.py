"""A run of journal lines on its way into the request log: what it holds, and how it gets there line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime

import psycopg
from psycopg import errors

from analytics.lines import COLUMNS

# Journals that a gateway without stages has left behind end two fields earlier.
_WIDTHS = (COLUMNS, COLUMNS[: COLUMNS.index("auth_us")])
_COPY = {len(columns): f"COPY analytics_requestlog ({', '.join(columns)}) FROM STDIN" for columns in _WIDTHS}
_MOMENT = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00")
_KEY_FIELD = COLUMNS.index("key_id")
_LONGEST_KEPT_LINE = 64 << 10


class PartitionMissingError(Exception):
    """A row's partition is not there though its day is one that is kept."""


@dataclass(slots=True)
class Block:
    """Whole lines of a journal file: the bytes `data` that stand at `offset` of the file `journal` (its id)."""

    journal: str
    offset: int
    data: bytes
    days: set[date] = field(init=False)
    firsts: list[bytes] = field(init=False)
    last_uses: dict[int, bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Find the days of the rows, the first time in each minute, and each key's last use, as texts of times."""
        firsts: dict[bytes, bytes] = {}
        last_uses: dict[bytes, bytes] = {}
        for line in self.data.split(b"\n"):
            fields = line.split(b"\t", _KEY_FIELD + 1)
            if len(fields) <= _KEY_FIELD + 1 or not _MOMENT.fullmatch(fields[1]):
                continue  # no record; Postgres will say what is wrong with it
            at, key_id = fields[1], fields[_KEY_FIELD]
            minute = at[:16]
            if firsts.get(minute, at) >= at:
                firsts[minute] = at
            if key_id != b"\\N" and last_uses.get(key_id, b"") < at:
                last_uses[key_id] = at
        self.firsts = list(firsts.values())
        self.days = {day for day in map(_day, {minute[:10] for minute in firsts}) if day is not None}
        self.last_uses = {int(key_id): at for key_id, at in last_uses.items() if key_id.isdigit() and len(key_id) < 19}


def _day(text: bytes) -> date | None:
    try:
        return date.fromisoformat(text.decode())
    except ValueError:
        return None


def copy(connection: psycopg.Connection, block: Block, kept: tuple[date, date]) -> int:
    """Bring a block's rows into the request log and what Postgres refuses among the rejects.

    Args:
        connection: inside a transaction, which also stores the offset behind the block.
        kept: the first and last day for which partitions are made.
    Returns how many lines were refused. Raises PartitionMissingError when the cause is ours, psycopg.Error when
    the database fails.
    """
    return _copy(connection, block.journal, block.offset, block.data, kept)


def _copy(connection: psycopg.Connection, journal: str, offset: int, data: bytes, kept: tuple[date, date]) -> int:
    """Copy everything at once; where one line spoils it, halve until that line stands alone."""
    try:
        width = data[: data.find(b"\n")].count(b"\t") + 1
        with connection.transaction(), connection.cursor().copy(_COPY.get(width, _COPY[len(COLUMNS)])) as stream:
            stream.write(data)
        return 0
    # ProgramLimitExceeded: a value too long for an index.
    except (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded) as error:
        refused = error
    middle = data.find(b"\n", len(data) // 2 - 1) + 1
    if middle in (0, len(data)):
        middle = data.rfind(b"\n", 0, len(data) - 1) + 1
    if middle:
        return _copy(connection, journal, offset, data[:middle], kept) + _copy(
            connection, journal, offset + middle, data[middle:], kept
        )
    _check_partition(journal, offset, data, refused, kept)
    reject(connection, journal, offset, data, str(refused))
    return 1


def _check_partition(journal: str, offset: int, line: bytes, refused: Exception, kept: tuple[date, date]) -> None:
    """Raise PartitionMissingError for a good line whose partition someone took away."""
    if isinstance(refused, errors.CheckViolation) and refused.diag.constraint_name is None:
        days = Block(journal, offset, line).days
        if any(kept[0] <= day <= kept[1] for day in days):
            raise PartitionMissingError(f"no partition for {days}") from refused


def reject(connection: psycopg.Connection, journal: str, offset: int, line: bytes, error: str) -> None:
    """Keep a refused line, or the beginning of an endless one, with the reason."""
    connection.execute(
        "INSERT INTO analytics_journalreject (journal, position, line, error) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (journal, position) DO NOTHING",
        (journal, offset, line[:_LONGEST_KEPT_LINE], error),
    )


def mark_minutes(connection: psycopg.Connection, block: Block, kept: tuple[date, date]) -> None:
    """Note for the roll-ups which minutes got rows, and from when on in each; in the transaction of those rows.

    Appended, never updated: no two shippers, and no shipper and the roll-ups, can wait for each other.
    """
    moments = [moment for moment in map(_moment, block.firsts) if moment is not None]
    connection.execute(
        "INSERT INTO analytics_staleminute (minute) SELECT * FROM unnest(%s::timestamptz[])",
        ([moment for moment in moments if kept[0] <= moment.date() <= kept[1]],),
    )


def touch_keys(connection: psycopg.Connection, last_uses: dict[int, bytes]) -> None:
    """Bring forward when each key was last used. Keys that are gone, or just going, are left out.

    Rows are locked in order and a key's own row is never waited for, so no two shippers, and no shipper and
    someone who deletes keys, can wait for each other.
    """
    uses = {key_id: moment for key_id, text in last_uses.items() if (moment := _moment(text)) is not None}
    if not uses:
        return
    arguments = {"keys": list(uses), "moments": list(uses.values())}
    connection.execute(
        """
        WITH used AS (SELECT * FROM unnest(%(keys)s::bigint[], %(moments)s::timestamptz[]) AS used (key_id, at)),
             held AS (SELECT key_id FROM keys_keyusage WHERE key_id = ANY (%(keys)s) ORDER BY key_id FOR UPDATE)
        UPDATE keys_keyusage usage SET last_used_at = used.at
        FROM used JOIN held USING (key_id)
        WHERE usage.key_id = used.key_id AND usage.last_used_at < used.at
        """,
        arguments,
    )
    connection.execute(
        """
        INSERT INTO keys_keyusage (key_id, last_used_at)
        SELECT key.id, used.at
        FROM unnest(%(keys)s::bigint[], %(moments)s::timestamptz[]) AS used (key_id, at)
        JOIN keys_apikey key ON key.id = used.key_id
        WHERE NOT EXISTS (SELECT FROM keys_keyusage usage WHERE usage.key_id = used.key_id)
        ORDER BY key.id
        FOR KEY SHARE OF key SKIP LOCKED
        ON CONFLICT (key_id) DO UPDATE SET last_used_at = greatest(keys_keyusage.last_used_at, excluded.last_used_at)
        """,
        arguments,
    )


def _moment(text: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(text.decode())
    except ValueError:
        return None
