"""One worker's connection to the announced rows: there while a live socket is open, and shared by all of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import psycopg

from analytics.database import direct_parameters
from analytics.live_announcer import WATCHED_LOCK
from analytics.live_rows import CHANNEL, rows_of
from analytics.live_viewer import Viewer

logger = logging.getLogger(__name__)
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 2.0
# Kept without viewers for a moment: a page that is loaded again, or again and again, shall not cost connections.
LINGER_S = 2.0
# Held for as long as the connection lives; shared, so that any number of workers watch side by side.
_WATCH = "SELECT pg_advisory_lock_shared(%s)"


class LiveFeed:
    """Hands announced rows to the viewers. Listens from the first viewer's arrival to the last one's leaving."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._state = "interrupted"

    @property
    def viewers(self) -> int:
        """How many sockets this worker serves."""
        return len(self._viewers)

    def join(self, viewer: Viewer) -> None:
        """Hand rows to the viewer from now on."""
        self._viewers.add(viewer)
        viewer.tell(self._state)
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self._task is None:
            self._task = asyncio.create_task(self._listen())

    def leave(self, viewer: Viewer) -> None:
        """Hand it none any more; soon after the last one left the connection is closed. Twice does nothing."""
        self._viewers.discard(viewer)
        if not self._viewers and self._task is not None and self._ending is None:
            self._ending = asyncio.get_running_loop().call_later(LINGER_S, self._end)

    def _end(self) -> None:
        self._ending = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._state = "interrupted"

    def review(self) -> None:
        """Have every viewer's rights looked at again now: the configuration has changed."""
        for viewer in self._viewers:
            viewer.feed_changed.set()

    async def _listen(self) -> None:
        """Keep a listening connection until cancelled, whatever happens to the database."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with await _connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    await connection.execute(_WATCH, (WATCHED_LOCK,))
                    self._tell("listening")
                    pause = FIRST_PAUSE_S
                    async for notice in connection.notifies():
                        self._hand_on(notice.payload)
                        # Notices that arrive together must not keep the calls of this worker waiting.
                        await asyncio.sleep(0)
            except (psycopg.Error, OSError) as error:
                if self._state == "listening":
                    logger.info("the live view is interrupted: %s", type(error).__name__)
            self._tell("interrupted")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE_S)

    def _hand_on(self, payload: str) -> None:
        try:
            rows, skipped = rows_of(payload)
        except ValueError as error:
            # Anyone with access to the database can send notices; one of another version, too.
            logger.warning("an announcement for the live view cannot be read: %s", error)
            return
        for viewer in self._viewers:
            for row in rows:
                viewer.offer(row)
            if skipped:
                viewer.skip(skipped)

    def _tell(self, state: str) -> None:
        if state != self._state:
            self._state = state
            for viewer in self._viewers:
                viewer.tell(state)


async def _connect() -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        **direct_parameters() | {"autocommit": True, "application_name": "gateway live view"}
    )


feed = LiveFeed()
