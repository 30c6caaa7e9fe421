"""An event stream to a client: open at once, kept alive with comments, as slow as its reader."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from namespaces.sse import KEEP_ALIVE

if TYPE_CHECKING:
    from proxy.exchange import Exchange

STREAM_HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
# How long a stream that we end waits for a client that reads nothing.
LAST_WORDS_S = 2.0


class EventStream:
    """Writes events to the client and a comment when there was none for a while."""

    __slots__ = ("_beat", "_exchange", "_last_sent", "_sending", "_timer")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._sending = False
        self._beat: asyncio.Task[None] | None = None
        self._last_sent = exchange.runtime.clock()
        self._timer = exchange.runtime.call_later(exchange.runtime.keep_alive_s, self._keep_alive)

    @property
    def is_blocked(self) -> bool:
        """Whether bytes wait for the client to read."""
        return self._sending

    async def push(self, data: bytes) -> None:
        """Send bytes of the stream; waits while the client is slow to read."""
        self._sending = True
        await self._exchange.send({"type": "http.response.body", "body": data, "more_body": True})
        self._sending = False
        self._last_sent = self._exchange.runtime.clock()

    async def end(self) -> None:
        """Send the last chunk."""
        self.cancel()
        await self._exchange.send({"type": "http.response.body", "body": b""})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last words and the last chunk; a client that does not read them in time is cut off."""
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                if data:
                    await self.push(data)
                await self.end()
        except TimeoutError:
            self._exchange.cut()

    def cancel(self) -> None:
        """Send no more comments."""
        self._timer.cancel()
        if self._beat is not None:
            self._beat.cancel()  # it would come behind the last chunk

    def _keep_alive(self) -> None:
        """Send a comment when nothing was sent for a while, unless the client does not even read what there is."""
        runtime = self._exchange.runtime
        silent = runtime.clock() - self._last_sent
        if silent >= runtime.keep_alive_s * 0.99:
            if not self._sending and (self._beat is None or self._beat.done()):
                self._beat = asyncio.ensure_future(self.push(KEEP_ALIVE))
            silent = 0.0
        self._timer = runtime.call_later(runtime.keep_alive_s - silent, self._keep_alive)
