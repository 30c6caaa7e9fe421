"""Sending a call again: only what cannot have been run, or may be run twice; after a pause, and under a budget.

A connection that was refused has carried nothing. A tool may be called twice where it says so itself (`readOnlyHint`,
`idempotentHint`) and an admin trusts this upstream's word. No answer that has begun is ever given up for another.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from proxy.errors import UpstreamFailed

if TYPE_CHECKING:
    from proxy.bare import UpstreamState
    from proxy.exchange import Exchange
    from proxy.upstream import UpstreamAnswer

# Exponential backoff with full jitter: the pause is anything up to FIRST_PAUSE_S, then twice that …
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
# A worker's retries to an upstream: a share of its calls of the last seconds, and a few.
BUDGET_SHARE = 0.1
BUDGET_LEAST = 3
BUDGET_WINDOW_S = 10
_STATUSES = frozenset((502, 503, 504))
Attempt = Callable[[], Awaitable["UpstreamAnswer"]]


class RetryBudget:
    """How many retries one process may make to one upstream: when all calls fail, retries must not double the load."""

    __slots__ = ("_counted", "_spent", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self._counted: deque[int] = deque([0], BUDGET_WINDOW_S)  # calls so far, noted each second
        self._spent: deque[float] = deque()

    def tick(self) -> None:
        """Move the window on; called each second."""
        self._counted.append(self.calls)

    def spend(self, now: float) -> bool:
        """Take one retry out of the budget; False when it is used up. `now` is seconds of the monotonic clock."""
        while self._spent and self._spent[0] <= now - BUDGET_WINDOW_S:
            self._spent.popleft()
        if len(self._spent) >= BUDGET_LEAST + BUDGET_SHARE * (self.calls - self._counted[0]):
            return False
        self._spent.append(now)
        return True


async def send(exchange: Exchange, state: UpstreamState, attempt: Attempt) -> UpstreamAnswer:
    """Make the first attempt, and further ones where that is safe; return the answer. Raises what the last one did."""
    state.budget.calls += 1
    try:
        answer = await attempt()
    except UpstreamFailed as error:
        return await _again(exchange, state, attempt, error)
    return answer if answer.status not in _STATUSES else await _again(exchange, state, attempt, answer)


async def _again(
    exchange: Exchange, state: UpstreamState, attempt: Attempt, failed: UpstreamFailed | UpstreamAnswer
) -> UpstreamAnswer:
    """Repeat after `failed`, the answer or the error of the attempt before."""
    clock = exchange.runtime.clock
    for number in range(state.entry.max_retries):
        if not _may_repeat(exchange, state, failed) or not state.budget.spend(clock()):
            break
        # The call's deadlines run on, and a client that leaves ends the pause.
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**number)
        await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311 - spreads load, hides nothing
        if not exchange.permit and state.breaker is not None and state.breaker.refuses_s(clock()) > 0:
            break  # the circuit opened meanwhile
        if not isinstance(failed, UpstreamFailed):
            failed.close()
        exchange.attempts += 1
        try:
            answer = await attempt()
        except UpstreamFailed as error:
            failed = error
            continue
        if answer.status not in _STATUSES:
            return answer
        failed = answer
    if isinstance(failed, UpstreamFailed):
        raise failed
    return failed


def _may_repeat(exchange: Exchange, state: UpstreamState, failed: UpstreamFailed | UpstreamAnswer) -> bool:
    """Return whether the attempt did nothing, or did what may be done twice."""
    if isinstance(failed, UpstreamFailed):
        if failed.reason == "upstream_unreachable":
            return True
        if failed.reason != "upstream_closed":
            return False
    message = exchange.message
    if not state.entry.trust_annotations or message is None or message.method != "tools/call":
        return False
    definition = state.entry.catalogue.names.get("tool", {}).get(message.name or "")
    annotations = definition.get("annotations") if isinstance(definition, dict) else None
    if not isinstance(annotations, dict):
        return False
    return annotations.get("readOnlyHint") is True or annotations.get("idempotentHint") is True
