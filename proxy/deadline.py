"""The deadlines of one upstream answer: its first byte, its pauses, its whole length.

One timer of the event loop serves all calls of the process, so that a call makes none of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.errors import UpstreamTimeout

if TYPE_CHECKING:
    from proxy.entries import Deadlines
    from proxy.exchange import Exchange

SWEEP_S = 0.025


class DeadlineSweep:
    """Looks through the calls in flight forty times a second, while there are any."""

    def __init__(self, clock: Callable[[], float], call_later: Callable[..., asyncio.TimerHandle]) -> None:
        self._clock = clock
        self._call_later = call_later
        self._watched: set[UpstreamDeadline] = set()
        self._running = False

    def add(self, deadline: UpstreamDeadline) -> None:
        """Watch a deadline until it is discarded."""
        self._watched.add(deadline)
        if not self._running:
            self._running = True
            self._call_later(SWEEP_S, self._sweep)

    def discard(self, deadline: UpstreamDeadline) -> None:
        """Watch a deadline no longer."""
        self._watched.discard(deadline)

    def _sweep(self) -> None:
        now = self._clock()
        for deadline in [deadline for deadline in self._watched if now >= deadline.due]:
            deadline.look(now)
        self._running = bool(self._watched)
        if self._running:
            self._call_later(SWEEP_S, self._sweep)


class UpstreamDeadline:
    """Aborts its exchange with UpstreamTimeout when the upstream is late. Bytes do not put off the total."""

    __slots__ = ("_deadlines", "_exchange", "_last_byte", "_total_from", "begun", "due", "first_byte")

    def __init__(self, exchange: Exchange, deadlines: Deadlines) -> None:
        self._exchange = exchange
        self._deadlines = deadlines
        self.begun = self._last_byte = self._total_from = exchange.runtime.clock()
        self.first_byte: float | None = None
        self.due = self.begun + min(deadlines.first_byte_s, deadlines.total_s)
        exchange.runtime.sweep.add(self)

    def answered(self) -> None:
        """The upstream's answer began. Standing streams may from now on last and be silent."""
        self.first_byte = self._last_byte = self._exchange.runtime.clock()
        if self._exchange.long_lived:
            self.cancel()

    def touch(self) -> None:
        """A byte of the upstream's came."""
        self._last_byte = self._exchange.runtime.clock()

    def extend(self) -> None:
        """The upstream reports progress, in a namespace where that puts off the total."""
        self._total_from = self._exchange.runtime.clock()

    def cancel(self) -> None:
        """Watch no longer."""
        self._exchange.runtime.sweep.discard(self)

    def look(self, now: float) -> None:
        """Abort what is due; else note when the next deadline is."""
        exchange, deadlines = self._exchange, self._deadlines
        total_due = self._total_from + deadlines.total_s
        if self.first_byte is None:
            due = self.begun + deadlines.first_byte_s
            late = UpstreamTimeout("The upstream did not answer in time.", reason="first_byte_timeout")
        else:
            due = self._last_byte + deadlines.idle_s
            late = UpstreamTimeout("The upstream fell silent.", reason="idle_timeout")
        if now >= total_due and not exchange.long_lived:
            late = UpstreamTimeout("The call took too long.", reason="total_timeout")
        elif now < due:
            self.due = due if exchange.long_lived else min(due, total_due)
            return
        self.cancel()
        if exchange.stream is not None and exchange.stream.is_blocked and late.reason == "idle_timeout":
            exchange.drop_stalled()  # the upstream is not silent, its bytes just find no reader
        else:
            exchange.abort(late)
