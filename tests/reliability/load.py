"""A steady load: calls at a rate that does not depend on how they fare, each with an id of its own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.reliability.client import Broken, Connection, protocol_headers, text_of, tool_call

CONNECTIONS = 25


@dataclass
class Load:
    """Calls `echo` of a namespace `calls_per_s` times a second over 25 connections.

    `answered` holds the ids of the calls whose complete 2xx answer came back with their own nonce; `failed` counts
    every other end by what it was, `failed_at` when (monotonic clock); `slowest_s` is the longest that an answered call
    took, and `took_s` how long each took from the moment when it was due. `calls_each`: how many calls a connection
    makes before it is closed and another one opened; 0: as many as there are. `bare`: as one line of curl would.
    """

    port: int
    path: str
    key: str
    name: str
    calls_per_s: float
    calls_each: int = 0
    bare: bool = False
    answered: set[str] = field(default_factory=set)
    failed: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    slowest_s: float = 0.0
    took_s: list[float] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Make calls for the length of an `async with` block; those under way at its end are finished."""
        workers = [asyncio.create_task(self._work(number)) for number in range(CONNECTIONS)]
        try:
            yield self
        finally:
            self._stopping = True
            await asyncio.gather(*workers)

    async def _work(self, number: int) -> None:
        interval_s = CONNECTIONS / self.calls_per_s
        due = time.monotonic() + interval_s * number / CONNECTIONS
        connection: Connection | None = None
        made = 0
        while not self._stopping:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            was_due = due
            due = max(due + interval_s, time.monotonic() - 1)
            request_id = f"{self.name}-{next(self._numbers)}"
            self.sent += 1
            begun = time.monotonic()
            try:
                if connection is None:
                    connection = await Connection.open(self.port)
                async with asyncio.timeout(30):
                    await self._call(connection, request_id)
                ended = time.monotonic()
                self.slowest_s = max(self.slowest_s, ended - begun)
                self.took_s.append(ended - was_due)
                made += 1
                if made == self.calls_each:
                    connection.close()
                    connection, made = None, 0
            except (Broken, OSError, TimeoutError) as error:
                self._note_failure(type(error).__name__)
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()

    async def _call(self, connection: Connection, request_id: str) -> None:
        body = tool_call("echo", {"nonce": request_id})
        headers = protocol_headers(self.key, request_id, bare=self.bare)
        answer = await connection.call("POST", self.path, headers, body)
        if answer.status == 200 and request_id in text_of(answer):
            self.answered.add(request_id)
        else:
            self._note_failure(f"HTTP {answer.status}")

    def _note_failure(self, what: str) -> None:
        self.failed[what] += 1
        self.failed_at.append(time.monotonic())
