"""How many calls may be in flight at once: of a key and to an upstream, with a short queue before each limit.

The limits hold over all workers of a host. The queue is first come, first served: in a worker to the letter, between
workers to about POLL_S, because a place that becomes free goes to the worker whose call has waited longest, which
looks each POLL_S while it has any. Event streams that stand open by themselves have a count of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.errors import GatewayError, Limited, Unavailable
from proxy.places import Places

if TYPE_CHECKING:
    from proxy.entries import Cap

POLL_S = 0.005
RETRY_S = 1


def busy(cap: Cap) -> GatewayError:
    """Return the answer for a call that found neither a place nor room in the queue, or waited too long in it."""
    data: dict[str, object] = {"retryAfterMs": RETRY_S * 1000}
    if cap.whose == "key":
        return Limited(
            f"This key has {cap.most} calls in flight and may have no more; wait for one to end.",
            reason="key_busy",
            status=503,
            headers=((b"retry-after", b"%d" % RETRY_S),),
            data=data,
        )
    message = f"The upstream has as many calls in flight as it may ({cap.most}); try again later."
    return Unavailable(message, reason="upstream_busy", retry_after_s=RETRY_S, data=data)


class _Waiter:
    """A call in the queue; its future is True once it has a place and False when it has waited too long."""

    __slots__ = ("future", "since")

    def __init__(self, future: asyncio.Future[bool], since: float) -> None:
        self.future = future
        self.since = since


class _Queue:
    """The calls of this process that wait for a place of one limit."""

    def __init__(self, owner: Concurrency, slot: int) -> None:
        self._owner = owner
        self._places = owner.places
        self._slot = slot
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._cap: Cap | None = None

    async def wait(self, cap: Cap) -> bool:
        """Wait for a place; False when there was no room or no place in time. Whoever leaves gives it all back."""
        self._cap = cap  # an admin may have changed it meanwhile; the newest holds for all who wait
        now = self._owner.clock()
        if not self._places.enqueue(self._slot, cap.queue_length, now):
            self._close_if_empty()
            return False
        waiter = _Waiter(asyncio.get_running_loop().create_future(), now)
        self._waiters.append(waiter)
        self._look()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.cancelled():
                self._remove(waiter)
                self._look()
            elif waiter.future.result():
                self._owner.give_back(cap)  # it left in the very moment in which it was let in
            raise

    def _remove(self, waiter: _Waiter) -> None:
        self._waiters.remove(waiter)
        self._places.dequeue(self._slot)

    def look(self) -> None:
        """Let in whoever may come in now."""
        if self._waiters:
            self._look()

    def _look(self) -> None:
        cap, now = self._cap, self._owner.clock()
        assert cap is not None  # noqa: S101
        while self._waiters:
            head = self._waiters[0]
            if head.future.done():  # it left, and its task has not come to that yet
                break
            if self._places.claim(self._slot, cap.most, head.since, now):
                self._remove(head)
                head.future.set_result(True)
            elif now - head.since >= cap.queue_wait_s:
                self._remove(head)
                head.future.set_result(False)
            else:
                break
        self._say(now, cap)

    def _say(self, now: float, cap: Cap) -> None:
        """Publish the oldest waiting call and look again in time; the last one to go closes the queue."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiters:
            self._places.say(self._slot, 0.0, now)
            self._close_if_empty()
            return
        since = self._waiters[0].since
        self._places.say(self._slot, since, now)
        pause = POLL_S if self._places.shared else max(0.001, since + cap.queue_wait_s - now)
        self._timer = self._owner.call_later(pause, self.look)

    def _close_if_empty(self) -> None:
        if not self._waiters:
            self._owner.queues.pop(self._slot, None)


class Concurrency:
    """Gives places out and takes them back. `clock` is the monotonic clock, in seconds."""

    def __init__(
        self, places: Places, clock: Callable[[], float], call_later: Callable[..., asyncio.TimerHandle]
    ) -> None:
        self.places = places
        self.clock = clock
        self.call_later = call_later
        self.queues: dict[int, _Queue] = {}

    def take(self, cap: Cap) -> bool:
        """Take a place at once if there is one and nobody waits for it."""
        return cap.slot not in self.queues and self.places.take(cap.slot, cap.most, self.clock())

    async def wait(self, cap: Cap) -> None:
        """Take a place after a wait in the queue. Raises Limited or Unavailable when none became free in time."""
        queue = self.queues.get(cap.slot)
        if queue is None:
            queue = self.queues[cap.slot] = _Queue(self, cap.slot)
        if not await queue.wait(cap):
            raise busy(cap)

    def give_back(self, cap: Cap) -> None:
        """Give a place back, and pass it on when somebody waits here; other workers look by themselves."""
        self.places.give_back(cap.slot)
        if self.queues and (queue := self.queues.get(cap.slot)) is not None:
            queue.look()

    def close(self) -> None:
        """Give the table back."""
        self.places.close()
