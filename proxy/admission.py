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

    Raises Limited or Unavailable. Places that were taken are given back by `Exchange.disarm`.
    """
    runtime, message, access = exchange.runtime, exchange.message, exchange.access
    # What is no request takes no place: what it answers or cancels may be what holds one. Streams have their own count.
    if access is not None and message is not None and message.kind == "request" and not exchange.long_lived:
        for cap in access.caps:
            if not runtime.concurrency.take(cap):
                if state.breaker is not None and exchange.permit is None:
                    state.breaker.check(runtime.clock())  # nobody waits for a place at an upstream that is down
                await runtime.concurrency.wait(cap)
            exchange.places += (cap,)
    pass_breaker(exchange, state)
    exchange.deadline = UpstreamDeadline(exchange, state.entry.deadlines)


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
