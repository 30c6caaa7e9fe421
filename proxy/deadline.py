"""The deadlines of one upstream answer: its first byte, its pauses, its whole length. One timer serves the three."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.errors import UpstreamTimeout

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.snapshot import Deadlines


class DeadlineTimer:
    """Aborts its exchange with UpstreamTimeout when the upstream is late. Bytes do not put off the total."""

    __slots__ = ("_deadlines", "_exchange", "_handle", "_last_byte", "_total_due", "begun", "first_byte")

    def __init__(self, exchange: Exchange, deadlines: Deadlines) -> None:
        runtime = exchange.runtime
        self._exchange = exchange
        self._deadlines = deadlines
        self.begun = self._last_byte = runtime.clock()
        self.first_byte: float | None = None
        self._total_due = self.begun + deadlines.total_s
        self._handle: asyncio.TimerHandle = runtime.call_later(
            min(deadlines.first_byte_s, deadlines.total_s), self._tick
        )

    def answered(self) -> None:
        """The upstream's answer began."""
        self.first_byte = self._last_byte = self._exchange.runtime.clock()

    def touch(self) -> None:
        """A byte of the upstream's came."""
        self._last_byte = self._exchange.runtime.clock()

    def cancel(self) -> None:
        """Watch no longer."""
        self._handle.cancel()

    def _tick(self) -> None:
        """Abort what is due; else come back when the next deadline is. Standing streams may last and be silent."""
        exchange, deadlines = self._exchange, self._deadlines
        now = exchange.runtime.clock()
        if self.first_byte is None:
            due = self.begun + deadlines.first_byte_s
            late = UpstreamTimeout("The upstream did not answer in time.", reason="first_byte_timeout")
        elif exchange.long_lived:
            return
        else:
            due = self._last_byte + deadlines.idle_s
            late = UpstreamTimeout("The upstream fell silent.", reason="idle_timeout")
        if not exchange.long_lived and now >= self._total_due:
            exchange.abort(UpstreamTimeout("The call took too long.", reason="total_timeout"))
            return
        if now >= due:
            exchange.abort(late)
            return
        if not exchange.long_lived:
            due = min(due, self._total_due)
        self._handle = exchange.runtime.call_later(due - now, self._tick)
