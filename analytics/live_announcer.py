"""Tells the live views of all hosts about rows that were just shipped, by NOTIFY, and only while somebody watches.

A thread and a connection of its own: whatever goes wrong here, shipping neither fails nor waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

import psycopg

from analytics.live_rows import CHANNEL, payloads, row_of

logger = logging.getLogger(__name__)

# "mcpgwliv": any number that no one else takes as an advisory lock. Who watches holds it shared.
WATCHED_LOCK = 0x6D63_7067_776C_6976
LOOK_S = 1.0
# What browsers can use is far less; the rest is counted, and the count is announced.
MAX_ROWS_PER_S = 2000
# Blocks (each at most 4 MiB) that may wait for the announcing thread.
_MAX_WAITING = 4
_LAST_PAUSE_S = 2.0
# An announcement that takes longer is given up: rows are only worth something while they are fresh.
_SESSION = "SET synchronous_commit = off; SET statement_timeout = '3s'; SET lock_timeout = '1s'"
_IS_UNWATCHED = "SELECT pg_try_advisory_xact_lock(%s)"
_ANNOUNCE = "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload"


class Announcer:
    """Takes shipped blocks by `put`, which costs nothing while nobody watches.

    `announced`, `skipped` and `failures` count rows that were sent, rows that were not, and attempts that failed.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        """Take what opens a connection in autocommit mode."""
        self.watched = False
        self.announced = self.skipped = self.failures = 0
        self._connect = connect
        self._connection: psycopg.Connection | None = None
        self._waiting: deque[bytes] = deque()
        self._left_out = 0  # rows, not yet announced as such
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ends = False
        self._complained = False
        self._allowance, self._refilled_at = float(MAX_ROWS_PER_S), time.monotonic()
        self._thread = threading.Thread(target=self._run, name="live announcer", daemon=True)

    def start(self) -> None:
        """Begin to look whether somebody watches."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what waits is not announced any more."""
        self._ends = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def put(self, lines: bytes) -> None:
        """Announce whole journal lines that are committed. Never waits, never raises."""
        if not self.watched:
            return
        with self._lock:
            if len(self._waiting) < _MAX_WAITING:
                self._waiting.append(lines)
            else:
                self._left_out += lines.count(b"\n")
        self._wake.set()

    def _run(self) -> None:
        pause = LOOK_S
        looked_at = float("-inf")
        while not self._ends:
            try:
                if time.monotonic() - looked_at >= LOOK_S:
                    self._look()
                    looked_at = time.monotonic()
                self._announce_waiting()
                self._recover()
                pause = LOOK_S
            # Nothing that happens here may end the thread, or reach the shipper.
            except Exception as error:
                self._fail(error)
                pause = min(2 * pause, _LAST_PAUSE_S)
            self._wake.wait(pause)
            self._wake.clear()
        self._close()

    def _look(self) -> None:
        """Find out whether anybody holds the lock shared: then it cannot be had alone."""
        row = self._connected().execute(_IS_UNWATCHED, (WATCHED_LOCK,)).fetchone()
        self.watched = row is not None and not row[0]
        if not self.watched:
            with self._lock:
                self._waiting.clear()
                self._left_out = 0

    def _announce_waiting(self) -> None:
        while self.watched and not self._ends:
            with self._lock:
                block = self._waiting.popleft() if self._waiting else b""
                left_out, self._left_out = self._left_out, 0
            if not block and not left_out:
                return
            self._announce(block, left_out)

    def _announce(self, block: bytes, left_out: int) -> None:
        """Announce a block's newest rows, as many as the second still allows."""
        lines = block.split(b"\n")[:-1]
        allowed = self._allowed()
        chosen = lines[-allowed:] if allowed else []
        rows = [row for line in chosen if (row := row_of(line)) is not None]
        skipped = left_out + len(lines) - len(chosen)
        self._allowance -= len(chosen)
        texts, too_large = payloads(rows, skipped)
        if texts:
            self._connected().execute(_ANNOUNCE, (CHANNEL, texts))
        self.announced += len(rows) - too_large
        self.skipped += skipped + too_large
        if too_large:
            with self._lock:
                self._left_out += too_large

    def _allowed(self) -> int:
        """Return how many rows may still be sent: MAX_ROWS_PER_S a second, and as many at once."""
        now = time.monotonic()
        grown = self._allowance + (now - self._refilled_at) * MAX_ROWS_PER_S
        self._allowance, self._refilled_at = min(float(MAX_ROWS_PER_S), grown), now
        return int(self._allowance)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            connection = self._connect()
            connection.execute(_SESSION)
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        self.watched = False
        self._close()
        with self._lock:
            self._waiting.clear()
        if not self._complained:
            logger.warning("the live view gets no rows for now (%s); the request log goes on", type(error).__name__)
        self._complained = True

    def _recover(self) -> None:
        if self._complained:
            logger.info("the live view gets rows again")
        self._complained = False
