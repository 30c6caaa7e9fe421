"""The counters of quotas in PostgreSQL: leases are taken from them ahead, debts are booked, what is left goes back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from proxy.quotas.budget import Budget

logger = logging.getLogger(__name__)
# A lease: a share of the whole, less as the end comes near, never so little that each call asks.
_OF_AMOUNT, _OF_ROOM = 50, 20
MOST_CALLS = 1_000
LEAST_BYTES, MOST_BYTES = 64 << 10, 64 << 20
# A quota that is gone by now has no counter; the snapshot will follow.
_MAKE = """
INSERT INTO keys_quotause (quota_id, spender, unit, begins, used)
SELECT id, %s, %s, %s, 0 FROM keys_quota WHERE id = %s ON CONFLICT DO NOTHING
"""
_LOCK = """
SELECT used FROM keys_quotause WHERE quota_id = %s AND spender = %s AND unit = %s AND begins = %s FOR UPDATE
"""
_BOOK = "UPDATE keys_quotause SET used = %s WHERE quota_id = %s AND spender = %s AND unit = %s AND begins = %s"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a worker wants of one counter: to book `debt` (below 0: to give back), and a lease of `lease` at least.

    0 is no lease.
    """

    budget: Budget
    begins: date
    debt: int
    lease: int = 0


def lease_of(budget: Budget, used: int, wanted: int = 1) -> int:
    """Return how much is leased when `used` is booked: never beyond the amount of a hard quota.

    Args: wanted: calls that wait for it.
    """
    share = budget.amount // _OF_AMOUNT
    least, most = (
        (min(LEAST_BYTES, max(share, 1)), MOST_BYTES) if budget.counts_bytes else (wanted, max(MOST_CALLS, wanted))
    )
    if not budget.hard:
        return min(max(share, least), most)
    room = max(budget.amount - used, 0)
    return min(max(min(share, room // _OF_ROOM), least), most, room)


async def grant(connection: psycopg.AsyncConnection[Any], wishes: list[Wish]) -> list[int]:
    """Fulfil wishes in one transaction; return the size of each lease, 0 where nothing is left.

    Raises psycopg.Error; then nothing was booked, unless only the word of the commit was lost.
    """
    granted = [0] * len(wishes)
    # In one order everywhere, so that two workers never wait for each other.
    order = sorted(range(len(wishes)), key=lambda number: wishes[number].budget.identity)
    warnings = []
    async with connection.transaction():
        for number in order:
            wish = wishes[number]
            budget, place = wish.budget, (*wish.budget.identity, wish.begins)
            await connection.execute(_MAKE, (budget.spender, budget.unit, wish.begins, budget.quota_id))
            row = await (await connection.execute(_LOCK, place)).fetchone()
            if row is None:
                continue
            booked = max(row[0] + wish.debt, 0)
            granted[number] = lease_of(budget, booked, wish.lease) if wish.lease else 0
            used = booked + granted[number]
            if used != row[0]:
                await connection.execute(_BOOK, (used, *place))
            level = budget.amount * budget.warn_percent / 100
            if row[0] < level <= used:
                warnings.append((budget, used))
    for budget, used in warnings:  # by whichever worker crossed the level
        extra = {"quota": budget.name, "spender": budget.spender, "used": used, "amount": budget.amount}
        logger.warning("a quota is nearly used up", extra=extra)
    return granted
