"""Ends a connection whose client takes nothing of the answer that waits for it (nginx calls this send_timeout).

Everything else that bounds an answer waits for its reader: back-pressure, and a transport that closes when its
buffer is empty. A client that never reads would hold its connection, its upstream's and what is buffered for ever.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_LOOKS = 4  # in the time that is allowed
_INT = struct.Struct("i")


class SendDeadline:
    """Watches one transport while bytes wait in it.

    `allowed_s`: seconds in which at least one byte must be taken; `cut`: called when none was.
    """

    __slots__ = ("_allowed_s", "_cut", "_idle_looks", "_loop", "_timer", "_transport", "_waiting")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        allowed_s: float,
        cut: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._allowed_s = allowed_s
        self._cut = cut
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Begin, unless nothing waits or it is being watched already."""
        if self._timer is None and self._transport.get_write_buffer_size():
            self._waiting = self._measure()
            self._idle_looks = 0
            self._timer = self._loop.call_later(self._allowed_s / _LOOKS, self._look)

    def stop(self) -> None:
        """Watch no longer: what waited was taken."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Watch never again: the connection is gone. What would cut it off refers to it, and is let go."""
        self.stop()
        self._cut = _nothing

    def _look(self) -> None:
        self._timer = None
        if not self._transport.get_write_buffer_size():
            return
        waiting = self._measure()
        self._idle_looks = self._idle_looks + 1 if waiting >= self._waiting else 0
        self._waiting = waiting
        if self._idle_looks >= _LOOKS:
            self._cut()
        else:
            self._timer = self._loop.call_later(self._allowed_s / _LOOKS, self._look)

    def _measure(self) -> int:
        """Return how many bytes wait here and in the system, which takes megabytes at once from us and not from them.

        tcp(7): SIOCOUTQ, of the same number as TIOCOUTQ, counts what the client has not acknowledged.
        """
        waiting = self._transport.get_write_buffer_size()
        socket: Any = self._transport.get_extra_info("socket")
        with suppress(OSError, AttributeError, ValueError):
            waiting += _INT.unpack(fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, _INT.pack(0)))[0]
        return waiting


def _nothing() -> None:
    """Cut off nobody: there is no connection any more."""
