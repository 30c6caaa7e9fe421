"""What a call uses up of what its caller has left: quotas, rate limits, and how often the very same may be repeated."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proxy import brakes
from proxy.errors import GatewayError

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.jsonrpc import Message


async def spend(exchange: Exchange, tool: str | None = None) -> None:
    """Count the request against all its quotas and limits or none; the tightest limit's state goes on the answer.

    What it was taken from quotas goes back when a limit refuses it. Raises Limited, or Unavailable where nothing can
    be counted.
    """
    access, runtime = exchange.access, exchange.runtime
    assert access is not None  # noqa: S101
    limits = access.limits if tool is None or not access.tool_limits else access.limits_of(tool)
    quotas = access.quotas if tool is None or not access.tool_quotas else access.quotas_of(tool)
    if quotas:
        await runtime.quotas.spend(quotas)
        exchange.quotas = quotas
    if limits:
        limiter = runtime.limiter
        try:
            verdict = limiter.admit(limits) if limiter.shared is None else await limiter.admit_shared(limits)
            exchange.limit_headers = verdict.headers()
            if not verdict.admitted:
                raise verdict.refusal()
        except GatewayError:
            exchange.return_quotas()
            raise


def brake(exchange: Exchange, message: Message) -> None:
    """Refuse a call of a tool that is quarantined, or one that was made too often just so."""
    access, key = exchange.access, exchange.key
    assert access is not None and key is not None  # noqa: S101
    if access.held_tools:
        hold = brakes.first(access.held_tools.get(message.name or "", ()), time.time())
        if hold is not None:
            raise hold.refusal(time.time())
    limit = access.namespace.repeats
    if limit is not None:
        arguments = message.params.get("arguments")
        exchange.runtime.repeats.check(limit, key.id, access.namespace.id, message.name or "", arguments)
