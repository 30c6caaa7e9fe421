"""What one worker holds of quotas: a purse for each, filled ahead in the background, so that a call only subtracts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from proxy.errors import Unavailable
from proxy.fallbacks import Fallbacks
from proxy.quotas import counters
from proxy.quotas.budget import Budget
from proxy.within import within

logger = logging.getLogger(__name__)
WAIT_S = 1.0  # how long a lease waits for the database
_TICK_S = 1.0
_IDLE_S = 10.0  # a lease that nobody used for so long goes back
_DRY_S = 1.0  # how long “nothing is left” is believed
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


@dataclass(slots=True, eq=False)
class Purse:
    """One budget in one period. `left` below 0 is a debt: what was let pass without a lease, or came out larger."""

    budget: Budget
    begins: date
    ends: float
    left: int = 0
    low: int = 0  # from here on a new lease is wanted
    dry_until: float = 0.0  # monotonic clock
    used_at: float = 0.0
    asking: int = 0  # calls that wait for a lease


def _period(monthly: bool, now: float) -> tuple[date, float]:
    """Return the first day of the period (UTC), and when the next begins in seconds since 1970."""
    moment = datetime.fromtimestamp(now, UTC)
    if not monthly:
        return moment.date(), (now // 86400 + 1) * 86400
    year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
    return moment.date().replace(day=1), datetime(year, month, 1, tzinfo=UTC).timestamp()


class Purses:
    """The purses of one process. `run` must be running; `closed`: without a lease and a database, calls are refused.

    `fallbacks` counts the calls that were let pass on credit, and those that were not.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]],
        *,
        closed: bool = False,
        fallbacks: Fallbacks | None = None,
    ) -> None:
        self._connect = connect
        self._closed = closed
        self._purses: dict[tuple[int, str, str], Purse] = {}
        self._over: list[Purse] = []  # of periods that have ended, until they are settled
        self._wanted: dict[Purse, None] = {}
        self._waiting: list[asyncio.Future[bool]] = []
        self._wake = asyncio.Event()
        self._up = True  # until the first attempt says otherwise
        self.fallbacks = fallbacks or Fallbacks("database")

    # -- what calls do --

    async def spend(self, budgets: Sequence[Budget]) -> None:
        """Take one call from every budget, or from none of them.

        Raises Limited (`quota_exceeded`), and Unavailable (`quota_unknown`) when the database is away, no lease is
        left and the setting says closed.
        """
        while True:
            now = time.time()
            purses = [self._purse(budget, now) for budget in budgets]
            lacking = [purse for purse in purses if purse.left <= 0 and purse.budget.hard]
            if not lacking:
                self._take(purses)
                return
            for purse in lacking:
                if purse.dry_until > time.monotonic():
                    raise purse.budget.refusal(purse.ends, now)
            # Others may have been quicker with what was leased; then it is asked for again, until nothing is left.
            if not await self._fill(lacking):
                self._on_credit(purses)
                return

    def _take(self, purses: Sequence[Purse], calls: int = 1) -> None:
        moment = time.monotonic()
        for purse in purses:
            purse.used_at = moment
            if not purse.budget.counts_bytes:
                purse.left -= calls
            if purse.left <= purse.low and moment > purse.dry_until:
                self._want(purse)

    def _on_credit(self, purses: Sequence[Purse]) -> None:
        if self._closed:
            self.fallbacks.note_refused()
            raise Unavailable(
                "The database does not answer, and what was leased of a quota is used up; try again.",
                reason="quota_unknown",
            )
        self.fallbacks.note_alone()
        self._take(purses)

    def give_back(self, budgets: Sequence[Budget]) -> None:
        """Put back what `spend` took: the call was refused by something else."""
        now = time.time()
        for budget in budgets:
            if not budget.counts_bytes:
                self._purse(budget, now).left += 1

    def charge(self, budgets: Sequence[Budget], size: int) -> None:
        """Take the bytes of an answer from the budgets that count them."""
        now, moment = time.time(), time.monotonic()
        for budget in budgets:
            if budget.counts_bytes:
                purse = self._purse(budget, now)
                purse.left, purse.used_at = purse.left - size, moment
                if purse.left <= purse.low:
                    self._want(purse)

    def _purse(self, budget: Budget, now: float) -> Purse:
        purse = self._purses.get(budget.identity)
        if purse is None or purse.ends <= now:
            if purse is not None and purse.left:
                self._over.append(purse)
            purse = self._purses[budget.identity] = Purse(budget, *_period(budget.monthly, now))
        elif purse.budget is not budget:
            if purse.budget.amount != budget.amount:
                purse.dry_until = 0.0  # an edit is in force at once
            purse.budget = budget
        return purse

    def _want(self, purse: Purse) -> None:
        self._wanted[purse] = None
        self._wake.set()

    async def _fill(self, purses: Sequence[Purse]) -> bool:
        """Have leases taken, and return whether the database answered. The work behind it keeps the time."""
        if not self._up:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        for purse in purses:
            purse.asking += 1
            self._want(purse)
        try:
            return await future
        finally:
            for purse in purses:
                purse.asking -= 1

    # -- the work behind them --

    async def run(self) -> None:
        """Keep a connection, and begin anew whenever that fails, until cancelled; then give back what is left."""
        pause = _FIRST_PAUSE_S
        while True:
            connection = None
            try:
                connection = await within(WAIT_S * 5, self._connect())
                if not self._up:
                    extra = {"alone": self.fallbacks.alone, "refused": self.fallbacks.refused}
                    logger.warning("quotas are counted again", extra=extra)
                self._up, pause = True, _FIRST_PAUSE_S
                await self._serve(connection)
            except asyncio.CancelledError:
                if connection is not None:
                    await self._settle(connection)
                raise
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._say_down(error)
            except Exception as error:  # whatever it is, no call may wait for a task that is gone
                logger.exception("counting quotas failed")
                self._say_down(error)
            finally:
                waiting, self._waiting = self._waiting, []
                _answer(waiting, False)
                if connection is not None:
                    await connection.close()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _say_down(self, error: Exception) -> None:
        if self._up:
            logger.warning("quotas cannot be counted (%s); leases are used up first", type(error).__name__)
        self._up = False

    async def _serve(self, connection: psycopg.AsyncConnection[Any]) -> None:
        while True:
            if not self._wanted:
                try:
                    async with asyncio.timeout(_TICK_S):
                        await self._wake.wait()
                except TimeoutError:
                    await self._tend(connection)
            self._wake.clear()
            if self._wanted:
                purses, self._wanted = list(self._wanted), {}
                waiting, self._waiting = self._waiting, []
                try:
                    await self._lease(connection, purses)
                except BaseException:
                    self._waiting += waiting
                    raise
                _answer(waiting, True)

    async def _lease(self, connection: psycopg.AsyncConnection[Any], purses: list[Purse]) -> None:
        """Book the debts of purses and fill them."""
        wishes = [
            counters.Wish(
                purse.budget,
                purse.begins,
                max(-purse.left, 0),
                max(purse.asking, 1) if purse.left <= purse.low else 0,
            )
            for purse in purses
        ]
        try:
            granted, stop = await _grant(connection, wishes)
        except BaseException:
            for purse in purses:  # the debts are still owed
                self._wanted[purse] = None
            raise
        moment = time.monotonic()
        for purse, wish, lease in zip(purses, wishes, granted, strict=True):
            purse.left += wish.debt + lease
            if wish.lease:
                purse.low = lease // 2
                purse.dry_until = 0.0 if lease else moment + _DRY_S
        if stop:
            raise asyncio.CancelledError

    async def _tend(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Give back leases that lie idle, settle periods that are over, and see that the connection lives."""
        moment = time.monotonic()
        idle = [purse for purse in self._purses.values() if purse.left > 0 and purse.used_at < moment - _IDLE_S]
        if idle or self._over:
            await self._return(connection, idle)
        else:
            await within(WAIT_S, connection.execute("SELECT 1"))

    async def _return(self, connection: psycopg.AsyncConnection[Any], purses: list[Purse]) -> None:
        # Emptied first: what is on its way back must not be spent meanwhile.
        purses, self._over = [*purses, *self._over], []
        wishes = [counters.Wish(purse.budget, purse.begins, -purse.left) for purse in purses]
        for purse in purses:
            purse.left = purse.low = 0
        try:
            _, stop = await _grant(connection, wishes)
        except BaseException:
            # Whether a lease went back is not known, so it did; what is owed stays owed.
            for purse, wish in zip(purses, wishes, strict=True):
                if wish.debt > 0:
                    purse.left = -wish.debt
                    self._over.append(purse)
            raise
        if stop:
            raise asyncio.CancelledError

    async def _settle(self, connection: psycopg.AsyncConnection[Any]) -> None:
        try:
            await self._return(connection, [purse for purse in self._purses.values() if purse.left])
        except (psycopg.Error, OSError, TimeoutError):
            logger.warning("what was leased of quotas could not be given back")


async def _grant(connection: psycopg.AsyncConnection[Any], wishes: list[counters.Wish]) -> tuple[list[int], bool]:
    """Return the leases, and whether the task was to stop meanwhile: it does so once it is known what it holds."""
    work = asyncio.ensure_future(within(WAIT_S, counters.grant(connection, wishes)))
    try:
        return await asyncio.shield(work), False
    except asyncio.CancelledError:
        return await work, True


def _answer(waiting: list[asyncio.Future[bool]], answered: bool) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(answered)
