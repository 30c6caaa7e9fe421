"""What waits for one live socket: a bounded number of rows, the newest; whoever reads slowly misses the oldest."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from analytics.live_filters import Gate
from analytics.live_rows import LiveRow

# The page shows as many; older ones would be pushed out of it at once.
MAX_WAITING = 200


class Viewer:
    """One socket's rows between the feed, which offers them, and the socket's sender, which takes them.

    No row passes while `gate` is None or after `trusted_until` (seconds of the monotonic clock): until the caller's
    rights are known, and when they could not be confirmed lately. `feed_state` is `listening`, or `interrupted`
    while the database is away.
    """

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self.trusted_until = float("-inf")
        self.feed_state = "interrupted"
        self.paused = False
        self.missed = 0  # rows that passed by during a pause
        self.changed = asyncio.Event()  # something is there to be sent
        self.state_changed = False
        self.feed_changed = asyncio.Event()  # … or the configuration has: the caller's rights are looked at again
        self._rows: deque[bytes] = deque()
        self._skipped = 0
        self._incomplete = False

    def offer(self, row: LiveRow) -> None:
        """Keep the row for the socket when it may have it and wants it."""
        gate = self.gate
        if gate is None or time.monotonic() > self.trusted_until or not gate.lets(row.fields):
            return
        if self.paused:
            self.missed += 1
            return
        if len(self._rows) >= MAX_WAITING:
            self._rows.popleft()
            self._skipped += 1
        self._rows.append(row.encoded(with_address=gate.sees_addresses))
        self.changed.set()

    def skip(self, count: int) -> None:
        """Note that rows were announced as left out: as a number to who sees everything, as a fact to others."""
        if self.gate is None or self.paused:
            return
        if self.gate.sees_everything:
            self._skipped += count
        self._incomplete = True
        self.changed.set()

    def tell(self, feed_state: str) -> None:
        """Note whether rows can arrive at all."""
        if feed_state != self.feed_state:
            self.feed_state = feed_state
            self.feed_changed.set()
            self.note_state()

    def note_state(self) -> None:
        """Have the state sent."""
        self.state_changed = True
        self.changed.set()

    def change(self, gate: Gate | None, trusted_until: float, *, forget: bool) -> None:
        """Put a gate in place. `forget`: what waits was chosen by other rules and is dropped."""
        self.gate, self.trusted_until = gate, trusted_until
        if forget:
            self._forget()

    def pause(self) -> None:
        """Count rows from now on instead of keeping them."""
        self.paused = True
        self.missed = len(self._rows)
        self._forget()

    def _forget(self) -> None:
        self._rows.clear()
        self._skipped = 0
        self._incomplete = False

    def take(self) -> bytes | None:
        """Return the message with all rows that wait, oldest first, or None when there is nothing to say."""
        if not self._rows and not self._skipped and not self._incomplete:
            return None
        message = b'{"type":"rows","rows":[%b],"skipped":%d,"incomplete":%b}' % (
            b",".join(self._rows),
            self._skipped,
            b"true" if self._incomplete else b"false",
        )
        self._forget()
        return message
