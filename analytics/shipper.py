"""Ships the journal files of a directory to Postgres, each line exactly once. One process a host.

A block of whole lines and the offset behind it are committed together. The offset's row is locked first: after the
death of a shipper its last transaction may still be committing, and starting from the old offset would double rows.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg

from analytics import partitions
from analytics.blocks import Block, PartitionMissingError, copy, mark_minutes, reject, touch_keys
from analytics.journal import SUFFIX

logger = logging.getLogger(__name__)

BLOCK_BYTES = 4 << 20
POLL_S = 0.05
LOCK_NAME = ".shipper.lock"
# After a failure: doubled from the first to the last.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 2.0
# How long a stopping shipper goes on while Postgres does not answer.
LAST_TRY_S = 10.0
# The age of a file that never got its visible name because its writer was killed in between.
UNNAMED_AGE_S = 60.0
_JOURNAL_NAME = re.compile(rf"[0-9a-f-]{{36}}{re.escape(SUFFIX)}")
_UNNAMED = re.compile(r"\.[0-9a-f-]{36}")


class DirectoryBusyError(Exception):
    """Another shipper holds the journal directory."""


class DirectoryLock:
    """Makes sure that one shipper at a time works on a journal directory; names the process that does."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> None:
        """Take the lock. Raises DirectoryBusyError, naming the holder, when another process has it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise DirectoryBusyError(f"process {holder} already ships this journal directory") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next shipper in."""
        os.close(self._fd)


class Shipper:
    """Ships until told to stop, through any number of lost connections."""

    def __init__(
        self,
        directory: Path,
        connect: Callable[[], psycopg.Connection],
        retention_days: int = 90,
        poll_s: float = POLL_S,
        announce: Callable[[bytes], None] | None = None,
    ) -> None:
        """Take the journal directory, what opens a connection in autocommit mode, and for how long rows are kept.

        `announce` is handed the lines of each block once it is committed; it must neither wait nor raise.
        """
        self.rejected = 0
        self._directory = directory
        self._connect = connect
        self._retention_days = retention_days
        self._poll_s = poll_s
        self._announce = announce
        self._connection: psycopg.Connection | None = None
        self._days: set[date] = set()  # partitions known to be there
        self._offsets: dict[str, int] = {}  # a hint that spares transactions; the row's offset is what counts
        self._failing = False
        self._is_behind = False  # whether the last look left bytes that another look would ship

    def run(self, stop: threading.Event) -> bool:
        """Ship until `stop` is set, then all that is on disk by then; return whether that was possible."""
        pause, gives_up_at = FIRST_PAUSE_S, math.inf
        while time.monotonic() < gives_up_at:
            stopping = stop.is_set()
            try:
                shipped = self.ship_all()
            except (psycopg.Error, PartitionMissingError, OSError) as error:
                self._fail(error)
                if stopping and gives_up_at == math.inf:
                    gives_up_at = time.monotonic() + LAST_TRY_S
                _wait(stop, pause)
                pause = min(2 * pause, LAST_PAUSE_S)
                continue
            pause, gives_up_at = FIRST_PAUSE_S, math.inf
            if stopping and not self._is_behind:
                return True
            if not shipped:
                _wait(stop, self._poll_s)
        logger.warning("stopped with unshipped lines in %s; the next start ships them", self._directory)
        return False

    def ship_all(self) -> int:
        """Look at every file once, the oldest first, and ship a block of each; return how many bytes that were.

        Raises psycopg.Error when the database fails, OSError when the directory does.
        """
        self._is_behind = False
        shipped = sum(self._ship(path) for path in self._files())
        self._recover()
        return shipped

    def close(self) -> None:
        """Close the connection, and forget what was known about the database."""
        connection, self._connection = self._connection, None
        self._days.clear()
        self._offsets.clear()
        if connection is not None:
            connection.close()

    def _files(self) -> list[str]:
        """Return the paths of all journal files; remove what a killed writer left unnamed, leave all else alone."""
        found = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                try:
                    modified = entry.stat().st_mtime
                except FileNotFoundError:
                    continue
                if _JOURNAL_NAME.fullmatch(entry.name):
                    found.append((modified, entry.path))
                elif _UNNAMED.fullmatch(entry.name) and modified < time.time() - UNNAMED_AGE_S:
                    os.unlink(entry.path)
        return [path for _, path in sorted(found)]

    def _ship(self, path: str) -> int:
        """Ship a file's next block; remove the file when that was its last."""
        fd = os.open(path, os.O_RDONLY)
        try:
            # In this order: only a size that is read after the lock was seen free is that of the finished file.
            is_final = _is_unlocked(fd)
            size = os.fstat(fd).st_size
            if not is_final and self._offsets.get(path) == size:
                return 0
            before, after, is_done = self._ship_block(path, fd, size, is_final)
        finally:
            os.close(fd)
        if is_done:
            os.unlink(path)
            self._offsets.pop(path, None)
        elif before < after < size:
            self._is_behind = True
        return after - before

    def _ship_block(self, path: str, fd: int, size: int, is_final: bool) -> tuple[int, int, bool]:
        """Ship one block in one transaction; return the offsets before and behind it and whether the file is done."""
        connection, journal = self._connected(), os.path.basename(path).removesuffix(SUFFIX)
        while True:
            with connection.transaction():
                offset = _locked_offset(connection, journal)
                raw = os.pread(fd, BLOCK_BYTES, offset)
                block = Block(journal, offset, raw[: raw.rfind(b"\n") + 1])
                kept = self._kept_days()
                missing = {day for day in block.days - self._days if kept[0] <= day <= kept[1]}
                if not missing:
                    is_endless = not block.data and len(raw) == BLOCK_BYTES
                    after = offset + (len(raw) if is_endless else len(block.data))
                    # What follows the last newline of a finished file was never reported as written.
                    is_done = is_final and offset + len(raw) >= size and not is_endless
                    rejected = self._store(connection, block, raw if is_endless else b"", kept)
                    _store_offset(connection, journal, after, rejected, is_done)
            if not missing:
                break
            partitions.create(connection, missing)
            self._days |= missing
        if self._announce is not None and block.data:
            self._announce(block.data)
        self.rejected += rejected
        if rejected:
            logger.error("Postgres refused %d journal lines; they are kept among the rejected journal lines", rejected)
        if is_done and after < size:
            logger.info("%s ended within a line, which its writer had not reported as written", os.path.basename(path))
        self._offsets[path] = after
        return offset, after, is_done

    def _store(self, connection: psycopg.Connection, block: Block, endless: bytes, kept: tuple[date, date]) -> int:
        """Store a block's rows and the last uses of its keys; return how many lines were refused."""
        if endless:
            reject(connection, block.journal, block.offset, endless, "the line does not end")
            return 1
        if not block.data:
            return 0
        try:
            rejected = copy(connection, block, kept)
        except PartitionMissingError:
            self._days.clear()
            raise
        mark_minutes(connection, block, kept)
        touch_keys(connection, block.last_uses)
        return rejected

    def _kept_days(self) -> tuple[date, date]:
        """Return the days that may have a partition. Rows of a clock gone wrong are refused, not given a table."""
        today = datetime.now(UTC).date()
        return today - timedelta(days=self._retention_days), today + timedelta(days=2)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            connection = self._connect()
            # A crash of Postgres takes rows and offset back alike; only a file's end must be on disk (see below).
            connection.execute("SET synchronous_commit = off")
            self._connection = connection
        return self._connection

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            logger.error("the journal waits on disk, because it cannot be shipped: %s", str(error).strip())
        self.close()

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            logger.info("the journal is being shipped again")


def _wait(stop: threading.Event, seconds: float) -> None:
    """Sleep, woken early by the request to stop, but not again and again by one already made."""
    if stop.is_set():
        time.sleep(seconds)
    else:
        stop.wait(seconds)


def _is_unlocked(fd: int) -> bool:
    """Return whether the file's writer has gone, so that the file will not grow any more."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked_offset(connection: psycopg.Connection, journal: str) -> int:
    """Return how far a file is shipped, its row locked until the transaction ends."""
    connection.execute("INSERT INTO analytics_journalfile (id) VALUES (%s) ON CONFLICT DO NOTHING", (journal,))
    row = connection.execute(
        "SELECT shipped_bytes FROM analytics_journalfile WHERE id = %s FOR UPDATE", (journal,)
    ).fetchone()
    if row is None:
        raise psycopg.OperationalError(f"the row of journal file {journal} vanished")
    return int(row[0])


def _store_offset(connection: psycopg.Connection, journal: str, offset: int, rejected: int, is_done: bool) -> None:
    """Store how far a file is shipped. When it is done, the commit waits for the disk: the file is removed next."""
    if is_done:
        connection.execute("SET LOCAL synchronous_commit = on")
    connection.execute(
        "UPDATE analytics_journalfile SET shipped_bytes = %s, rejected = rejected + %s,"
        " done_at = CASE WHEN %s THEN clock_timestamp() END WHERE id = %s",
        (offset, rejected, is_done, journal),
    )
