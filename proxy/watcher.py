"""Keeps the snapshot current: LISTEN for changes, look at the marker beside it, keep the old one when in doubt."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from namespaces.tracking import CHANNEL, UP_CHANNEL
from proxy.snapshot import Snapshot, load, newest_marker

logger = logging.getLogger(__name__)
POLL_LISTENING_S = 30.0
POLL_ALONE_S = 1.0
# Several commits close together cost one reading.
SETTLE_S = 0.01


class SnapshotWatcher:
    """Loads snapshots and hands each new one to `swap`, and passing checks (upstream, notice) to `upstream_up`.

    `confirmed_at` (seconds of the monotonic clock) is when the database last said that the snapshot holds.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]],
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        swap: Callable[[Snapshot], None],
        upstream_up: Callable[[int, int], None],
    ) -> None:
        self._connect = connect
        self._in_thread = in_thread
        self._swap = swap
        self._upstream_up = upstream_up
        self._changed = asyncio.Event()
        self._listening = False
        self._marker = -1
        self._stale = True
        self._complained = False
        self.confirmed_at = float("-inf")

    async def run(self) -> None:
        """Work until cancelled."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                await self._refresh()
                pause = POLL_LISTENING_S if self._listening and not self._stale else POLL_ALONE_S
                try:
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                    await asyncio.sleep(SETTLE_S)
                except TimeoutError:
                    pass
        finally:
            listener.cancel()

    async def _refresh(self) -> None:
        """Read the marker and, if it moved or a change was announced, the configuration."""
        self._stale = self._stale or self._changed.is_set()
        self._changed.clear()
        asked_at = time.monotonic()
        try:
            if self._stale or await self._in_thread(newest_marker) != self._marker:
                snapshot = await self._in_thread(load)
                self._swap(snapshot)
                self._marker, self._stale = snapshot.marker, False
            self.confirmed_at = asked_at
            if self._complained:
                logger.info("the configuration can be read again")
            self._complained = False
        except Exception as error:
            # Stale is better than none: whatever went wrong, the snapshot in force stays in force.
            if not self._complained:
                logger.warning("the configuration cannot be read (%s); the one in force stays", type(error).__name__)
            self._complained = True

    def _hear(self, payload: str) -> None:
        """Hand on that a check found an upstream well."""
        upstream_id, _, notice = payload.partition(" ")
        if upstream_id.isdecimal() and notice.isdecimal():
            self._upstream_up(int(upstream_id), int(notice) & 0xFFFFFFFFFFFFFFFF)

    async def _listen(self) -> None:
        """Hold a LISTEN connection; after each reconnect the configuration is read again."""
        pause = 0.1
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    await connection.execute(f"LISTEN {UP_CHANNEL}")
                    self._listening, pause = True, 0.1
                    self._changed.set()
                    async for notice in connection.notifies():
                        if notice.channel == CHANNEL:
                            self._changed.set()
                        else:
                            self._hear(notice.payload)
            except (psycopg.Error, OSError):
                pass
            finally:
                self._listening = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
