"""Runs the roll-ups' steps one after the other until told to stop; one process at a time among all hosts does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg

from analytics import rollup_sql, rollup_trails, rollups
from analytics.rollups import Retention, Step

logger = logging.getLogger(__name__)

# Any number that nothing else takes. It spares work only: steps are right whoever else takes some.
OFFICE = 0x6D63_7067_776D_6E03
# The pause after a step is so many times as long as steps take of late, so they leave the database to others. It is
# short, because a slow call is seen only by the step after its end: its row is older than what is rolled up already.
_PAUSES_A_STEP = 1.5
PAUSE_S, _LONGEST_PAUSE_S = 1.0, 10.0
# How long slices are merged between two steps; what is left waits for the next.
_MERGING_S = 0.3
_STAND_BY_S = 5.0
_FIRST_BACK_OFF_S, _LAST_BACK_OFF_S = 0.5, 10.0
_PROGRESS_EVERY_S = 10.0
_LAG_WARNING_S = 60.0

Say = Callable[[str], None]


class Keeper:
    """Keeps the roll-ups through any number of lost connections. `run` in a thread, `stop` from any other."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection],
        retention: Retention,
        say: Say = logger.info,
        pause_s: float = PAUSE_S,
    ) -> None:
        """Take what opens a connection in autocommit mode, how long grains are kept, and who is told of progress.

        Args: pause_s: the shortest time between two steps.
        """
        self._connect, self._retention, self._say, self._shortest_s = connect, retention, say, pause_s
        self._stop = threading.Event()
        self._connection: psycopg.Connection | None = None
        self._in_office = False
        self._usual_s = 0.0  # what steps take of late
        self._began_at: datetime | None = None  # where a long way began
        self._said_at = 0.0
        self._late = self._failing = False

    def run(self) -> None:
        """Work until `stop`; what fails is logged once and tried again."""
        back_off = _FIRST_BACK_OFF_S
        while not self._stop.is_set():
            try:
                with self._opened() as connection:
                    while not self._stop.is_set():
                        pause_s = self._pause_s() if self._hold(connection) else _STAND_BY_S
                        self._recover()
                        back_off = _FIRST_BACK_OFF_S
                        self._stop.wait(pause_s)
            except Exception as error:  # also a fault of our own: calls go on being served and logged
                if self._stop.is_set():
                    return
                self._fail(error)
                self._stop.wait(back_off)
                back_off = min(2 * back_off, _LAST_BACK_OFF_S)

    def catch_up(self) -> Step:
        """Roll everything up that is there, whoever holds the office, and return the last step.

        Raises psycopg.Error when the database fails.
        """
        with self._opened() as connection:
            while True:
                step = self._step(connection)
                day = rollups.add_up_stale_day(connection, self._retention, waits=timedelta(0))
                if step.is_behind or day is not None:
                    continue
                while built := rollup_trails.build_one(connection):
                    self._say(f"added up {built[1]} days at once, cut {built[0].number}")
                return step

    def stop(self) -> None:
        """Ask `run` to return; the statement that it waits for is cancelled."""
        self._stop.set()
        connection = self._connection
        if connection is not None and not connection.closed:
            connection.cancel()

    def _opened(self) -> psycopg.Connection:
        connection = self._connection = self._connect()
        self._in_office = False
        connection.prepare_threshold = None  # a plan made once would look at every partition
        rollup_sql.prepare(connection)
        return connection

    def _hold(self, connection: psycopg.Connection) -> bool:
        """Work up to the present if no other process does; return whether we do."""
        if not self._in_office:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (OFFICE,)).fetchone()
            self._in_office = row == (True,)
        if not self._in_office:
            return False
        is_behind = True
        while is_behind and not self._stop.is_set():
            is_behind = self._step(connection).is_behind
            rollups.add_up_stale_day(connection, self._retention)
        rollup_trails.build_one(connection)  # one at most: it may take seconds, and the present must not wait
        until = time.monotonic() + _MERGING_S
        while time.monotonic() < until and not self._stop.is_set():
            if not rollups.merge_slices(connection, self._retention):
                break
        return True

    def _step(self, connection: psycopg.Connection) -> Step:
        began = time.monotonic()
        step = rollups.step(connection, self._retention)
        took = time.monotonic() - began
        self._usual_s += 0.3 * (took - self._usual_s)
        self._tell(step)
        return step

    def _pause_s(self) -> float:
        return min(max(self._shortest_s, _PAUSES_A_STEP * self._usual_s), _LONGEST_PAUSE_S)

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            is_ours = not isinstance(error, psycopg.Error | OSError)
            logger.error("the roll-ups wait: %s", str(error).strip(), exc_info=error if is_ours else None)

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            logger.info("the roll-ups go on")

    def _tell(self, step: Step) -> None:
        """Say how far a long way is done, and once when the roll-ups are late and when they no longer are."""
        lag = (step.now - step.rolled_to).total_seconds()
        if (lag > _LAG_WARNING_S) != self._late:
            self._late = lag > _LAG_WARNING_S
            if self._late:
                logger.warning("the roll-ups are %.0f s behind; until they catch up, pages read the log itself", lag)
            else:
                logger.info("the roll-ups have caught up")
        if not step.is_behind:
            self._began_at = None
            return
        self._began_at = self._began_at or step.began_at
        if time.monotonic() - self._said_at >= _PROGRESS_EVERY_S:
            self._said_at = time.monotonic()
            way = max(step.now - self._began_at, timedelta(seconds=1))
            self._say(
                f"rolled up to {step.rolled_to:%Y-%m-%d %H:%M}, {100 * (step.rolled_to - self._began_at) / way:.0f} %"
            )
