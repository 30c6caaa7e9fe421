"""Whether the upstream may be bothered with a call: its breaker, and the limits of calls in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.breaker import FAILURES
from proxy.deadline import UpstreamDeadline

if TYPE_CHECKING:
    from proxy.bare import UpstreamState
    from proxy.exchange import Exchange


async def admit(exchange: Exchange, state: UpstreamState) -> None:
    """Pass the upstream's breaker and the limits of calls in flight, and start the deadlines of its work.

    Raises Limited or Unavailable.
    """
    breaker = state.breaker
    if breaker is not None and exchange.permit is None:
        breaker.check(exchange.runtime.clock())  # nobody waits for a place at an upstream that is down
    message = exchange.message
    # What is no request takes no place: what it answers or cancels may be what holds one. Streams have their own count.
    if message is not None and message.kind == "request" and not exchange.long_lived:
        await _take_places(exchange)
    pass_breaker(exchange, state)
    exchange.deadline = UpstreamDeadline(exchange, state.entry.deadlines)


async def _take_places(exchange: Exchange) -> None:
    """Take a place of each limit, after a wait in its queue where all are taken; `Exchange.disarm` gives them back."""
    assert exchange.access is not None  # noqa: S101
    concurrency = exchange.runtime.concurrency
    for cap in exchange.access.caps:
        if not concurrency.take(cap):
            await concurrency.wait(cap)
        exchange.places += (cap,)


def pass_breaker(exchange: Exchange, state: UpstreamState) -> None:
    """Get the breaker's permit for a call, once. Raises Unavailable while the circuit is open."""
    exchange.breaker = state.breaker
    if state.breaker is not None and exchange.permit is None:
        exchange.permit = state.breaker.enter(exchange.runtime.clock())


def report(exchange: Exchange, outcome: str, reason: str | None) -> None:
    """Tell the breaker how the upstream did, once."""
    breaker, permit, exchange.permit = exchange.breaker, exchange.permit, None
    if breaker is None or permit is None:
        return
    if reason in FAILURES or (exchange.upstream_status or 0) >= 500:
        breaker.failed(permit, exchange.runtime.clock())
    elif outcome == "timeout" or exchange.deadline is None or exchange.deadline.first_byte is None:
        breaker.withdrawn(permit)  # it broke off before the upstream had shown how it is
    else:
        breaker.succeeded(permit)
