"""Closes client connections that have been idle for long: one timer for all of a server's, none for each answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState


class _Connection(Protocol):
    def timeout_keep_alive_handler(self) -> None: ...


class IdleConnections:
    """The connections whose client has its answer and asks for nothing, the longest idle first.

    `allowed_s`: how long they may stay; `clock`: the event loop's, in seconds.
    """

    def __init__(
        self, allowed_s: float, clock: Callable[[], float], call_later: Callable[..., asyncio.TimerHandle]
    ) -> None:
        self._allowed_s = allowed_s
        self._clock = clock
        self._call_later = call_later
        self._since: dict[_Connection, float] = {}
        self._looking = False

    @classmethod
    def of(cls, server: ServerState, allowed_s: float, loop: asyncio.AbstractEventLoop) -> IdleConnections:
        """Return the idle connections of a server, which its event loop closes after `allowed_s` seconds."""
        found = _OF_SERVERS.get(server)
        if found is None:
            found = _OF_SERVERS[server] = cls(allowed_s, loop.time, loop.call_later)
        return found

    def add(self, connection: _Connection) -> None:
        """A connection falls idle."""
        self._since[connection] = self._clock()
        if not self._looking:
            self._looking = True
            self._call_later(self._allowed_s, self._look)

    def discard(self, connection: _Connection) -> None:
        """A connection is used again, or gone."""
        self._since.pop(connection, None)

    def _look(self) -> None:
        """Close what is due, and look again when the next one will be."""
        now, due = self._clock(), []
        self._looking = False
        for connection, since in self._since.items():
            left_s = since + self._allowed_s - now
            if left_s > 0.001:  # uvloop's timers keep to the millisecond
                self._looking = True
                self._call_later(left_s, self._look)
                break
            due.append(connection)
        for connection in due:
            self._since.pop(connection, None)
            connection.timeout_keep_alive_handler()


_OF_SERVERS: WeakKeyDictionary[ServerState, IdleConnections] = WeakKeyDictionary()
