"""Quotas in one or several workers: what is let pass, what is booked, and what becomes of leases and debts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from keys.quota_models import Period, period_of
from namespaces.rules import NameRule, RuleSet
from proxy.entries import KeyEntry, NamespaceEntry
from proxy.errors import GatewayError, Limited, Unavailable
from proxy.quotas import counters, purses
from proxy.quotas.budget import Budget, QuotaRule
from proxy.quotas.purses import Purses
from tests import databases

NOBODY = {"spender": "key:1", "kind": "key", "scope": "alice #1"}


class Counters:
    """The tables of one database; `down` keeps new connections away and cuts those that are there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.down = False
        self.connections: list[psycopg.AsyncConnection[Any]] = []

    async def connect(self) -> psycopg.AsyncConnection[Any]:
        if self.down:
            raise psycopg.OperationalError("away")
        connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        self.connections.append(connection)
        return connection

    def cut(self) -> None:
        """Let the server end every connection, as a server that stops does."""
        self.down = True
        pids = [one.info.backend_pid for one in self.connections if not one.closed]
        databases.query(self.url, "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) pid", pids)

    def quota(self, amount: int, **options: Any) -> Budget:
        """Make a quota and return a budget of it."""
        insert = """
            INSERT INTO keys_quota (slug, description, tools, user_id, counted, measure, period, amount, warn_percent,
                hard, enabled, created_at, updated_at)
            VALUES (%s, '', '{}', '', 'each_key', 'calls', 'day', %s, 80, true, true, now(), now()) RETURNING id
        """
        ((number,),) = databases.query(self.url, insert, f"q{time.monotonic_ns()}", amount)
        return Budget(int(number), amount=amount, **(NOBODY | options))  # type: ignore[call-overload]

    def used(self, budget: Budget) -> int:
        """Return what is booked of a budget, over all periods."""
        rows = databases.query(
            self.url, "SELECT coalesce(sum(used), 0) FROM keys_quotause WHERE quota_id = %s", budget.quota_id
        )
        return int(rows[0][0])  # type: ignore[call-overload]

    @contextlib.asynccontextmanager
    async def workers(self, count: int = 1, *, closed: bool = False) -> AsyncIterator[list[Purses]]:
        """Yield the purses of so many workers; they stop in good order."""
        found = [Purses(self.connect, closed=closed) for _ in range(count)]
        tasks = [asyncio.create_task(one.run()) for one in found]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(scope="module")
def tables(request: pytest.FixtureRequest) -> Iterator[Counters]:
    """Yield a migrated database."""
    url = databases.copy(request.getfixturevalue("migrated_database"))
    yield Counters(url)
    databases.drop(url)


@pytest.fixture(autouse=True)
def up(request: pytest.FixtureRequest) -> None:
    """Let each test begin with a database that answers."""
    if "tables" in request.fixturenames:
        request.getfixturevalue("tables").down = False


async def spent(worker: Purses, *budgets: Budget) -> bool:
    """Make a call and return whether it passed."""
    try:
        await worker.spend(budgets)
    except Limited as refusal:
        assert refusal.reason == "quota_exceeded"
        return False
    return True


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("amount", [0, 1, 7, 100, 2000])
async def test_one_worker_lets_exactly_the_amount_pass(tables: Counters, amount: int) -> None:
    budget = tables.quota(amount)
    async with tables.workers() as (worker,):
        found = await asyncio.gather(*(spent(worker, budget) for _ in range(amount + 50)))
        assert sum(found) == amount
        assert not await spent(worker, budget)
    assert tables.used(budget) == amount


async def test_four_workers_let_no_more_pass_and_soon_all_of_it(tables: Counters) -> None:
    budget = tables.quota(500)
    async with tables.workers(4) as four:
        passed = 0
        for _ in range(5):
            found = await asyncio.gather(*(spent(four[number % 4], budget) for number in range(200)))
            passed += sum(found)
            assert passed <= 500
        assert passed >= 500 * 0.95
        used = tables.used(budget)
        assert passed <= used <= 500
    assert tables.used(budget) == passed  # what was leased and not used went back


async def test_leases_are_taken_ahead_so_that_calls_wait_for_nothing(tables: Counters) -> None:
    budget = tables.quota(100_000)
    async with tables.workers() as (worker,):
        await worker.spend([budget])
        slow = 0
        for _ in range(2000):
            begun = time.perf_counter()
            await worker.spend([budget])
            slow += time.perf_counter() - begun > 0.002
            await asyncio.sleep(0)
        assert slow < 100


async def test_a_call_that_one_quota_refuses_is_taken_from_none(tables: Counters) -> None:
    large, small = tables.quota(100), tables.quota(2)
    async with tables.workers() as (worker,):
        assert [await spent(worker, large, small) for _ in range(6)] == [True, True] + [False] * 4
        worker.give_back([large])  # as after a call that a rate limit refused
    assert (tables.used(large), tables.used(small)) == (1, 2)


async def test_answers_are_charged_by_their_bytes(tables: Counters) -> None:
    budget = tables.quota(1_000_000, counts_bytes=True)
    async with tables.workers() as (worker,):
        passed = 0
        while await spent(worker, budget):
            worker.charge([budget], 300_000)
            passed += 1
            await asyncio.sleep(0.05)
        assert passed == 4  # the fourth began within the budget; what it was too much is on the books
    assert tables.used(budget) == 1_200_000


async def test_a_soft_quota_stops_nothing_and_warns_once(tables: Counters, caplog: pytest.LogCaptureFixture) -> None:
    budget = tables.quota(20, hard=False, name="trial")
    async with tables.workers(2) as pair:
        for number in range(60):
            assert await spent(pair[number % 2], budget)
            await asyncio.sleep(0.01)
        await until(lambda: tables.used(budget) >= 60)
    assert tables.used(budget) == 60
    said = [record for record in caplog.records if record.getMessage() == "a quota is nearly used up"]
    assert [(record.quota, record.amount) for record in said] == [("trial", 20)]  # type: ignore[attr-defined]


async def test_more_is_in_force_at_once_and_in_another_unit_it_begins_anew(tables: Counters) -> None:
    budget = tables.quota(3)
    async with tables.workers() as (worker,):
        assert [await spent(worker, budget) for _ in range(5)] == [True] * 3 + [False] * 2
        more = Budget(budget.quota_id, amount=5, **NOBODY)  # type: ignore[arg-type]
        assert [await spent(worker, more) for _ in range(5)] == [True] * 2 + [False] * 3
        monthly = Budget(budget.quota_id, amount=5, monthly=True, **NOBODY)  # type: ignore[arg-type]
        assert await spent(worker, monthly)


async def test_a_new_day_begins_with_the_whole_amount(tables: Counters, monkeypatch: pytest.MonkeyPatch) -> None:
    daily, monthly = tables.quota(2), tables.quota(3, monthly=True)
    now = datetime(2026, 11, 29, 23, 59, tzinfo=UTC)
    clock = SimpleNamespace(monotonic=time.monotonic, time=lambda: now.timestamp() + 0)
    monkeypatch.setattr(purses, "time", clock)
    async with tables.workers() as (worker,):
        assert [await spent(worker, daily, monthly) for _ in range(3)] == [True, True, False]
        with pytest.raises(Limited) as refusal:
            await worker.spend([daily])
        assert refusal.value.data["resetsAt"] == "2026-11-30T00:00:00Z"  # type: ignore[index]
        assert refusal.value.data["retryAfterMs"] == 60_001  # type: ignore[index]
        now = datetime(2026, 11, 30, 0, 0, 1, tzinfo=UTC)
        assert [await spent(worker, daily, monthly) for _ in range(2)] == [True, False]
        now = datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC)
        assert await spent(worker, daily, monthly)
    select = "SELECT quota_id, begins, used FROM keys_quotause WHERE quota_id = ANY(%s) ORDER BY 1, 2"
    rows = databases.query(tables.url, select, [daily.quota_id, monthly.quota_id])
    assert rows == [
        (daily.quota_id, date(2026, 11, 29), 2),
        (daily.quota_id, date(2026, 11, 30), 1),
        (daily.quota_id, date(2026, 12, 1), 1),
        (monthly.quota_id, date(2026, 11, 1), 3),
        (monthly.quota_id, date(2026, 12, 1), 1),
    ]


async def test_a_worker_that_is_killed_loses_its_lease_and_no_more(tables: Counters) -> None:
    budget = tables.quota(10_000)
    killed = Purses(tables.connect)
    task = asyncio.create_task(killed.run())
    async with tables.workers() as (other,):
        passed = sum(await asyncio.gather(*(spent(killed, budget) for _ in range(1000))))
        await asyncio.sleep(0.1)
        killed._settle = lambda _: asyncio.sleep(0)  # type: ignore[method-assign] # what kill -9 leaves no time for
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        booked = tables.used(budget)
        assert passed == 1000 <= booked <= 1000 + 2 * counters.lease_of(budget, 0)
        passed += sum(await asyncio.gather(*(spent(other, budget) for _ in range(10_000))))
        assert 10_000 - 2 * counters.lease_of(budget, 0) <= passed <= 10_000


async def test_a_lease_that_lies_idle_goes_back(tables: Counters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purses, "_IDLE_S", 0.2)
    budget = tables.quota(1000)
    async with tables.workers() as (worker,):
        await worker.spend([budget])
        assert tables.used(budget) == 20
        await until(lambda: tables.used(budget) == 1)
        await worker.spend([budget])
    assert tables.used(budget) == 2


async def test_open_goes_on_with_the_lease_and_then_on_credit_and_books_it_later(tables: Counters) -> None:
    budget = tables.quota(1000)
    async with tables.workers() as (worker,):
        assert await spent(worker, budget)
        tables.cut()
        await until(lambda: not worker._up)
        begun = time.monotonic()
        assert all([await spent(worker, budget) for _ in range(100)])
        assert time.monotonic() - begun < 1
        assert worker.fallbacks.alone == 81 and worker.fallbacks.refused == 0
        tables.down = False
        await until(lambda: worker._up)
        assert await spent(worker, budget)
        await until(lambda: tables.used(budget) >= 102)
    assert tables.used(budget) == 102


async def test_closed_refuses_what_has_no_lease_left(tables: Counters) -> None:
    budget = tables.quota(1000)
    async with tables.workers(closed=True) as (worker,):
        assert await spent(worker, budget)
        tables.cut()
        await until(lambda: not worker._up)
        for _ in range(19):
            assert await spent(worker, budget)
        with pytest.raises(Unavailable) as refusal:
            await worker.spend([budget])
        assert (refusal.value.status, refusal.value.reason, worker.fallbacks.refused) == (503, "quota_unknown", 1)
        tables.down = False
        await until(lambda: worker._up)
        assert await spent(worker, budget)
    assert tables.used(budget) == 21


async def test_the_database_coming_and_going_fails_and_holds_no_call(tables: Counters) -> None:
    budget = tables.quota(10_000_000)
    longest, done, going = 0.0, 0, True
    async with tables.workers(2) as pair:

        async def call(worker: Purses) -> None:
            nonlocal longest, done
            while going:
                begun = time.monotonic()
                await worker.spend([budget])
                longest, done = max(longest, time.monotonic() - begun), done + 1
                await asyncio.sleep(0.001)

        callers = [asyncio.create_task(call(worker)) for worker in pair for _ in range(5)]
        for _ in range(3):
            await asyncio.sleep(0.2)
            tables.cut()
            await asyncio.sleep(0.2)
            tables.down = False
        going = False
        await asyncio.gather(*callers)
        await until(lambda: all(worker._up for worker in pair))
        await asyncio.sleep(0.1)
    # A commit whose word was lost counts a lease as used: one for each time and worker at most.
    assert done <= tables.used(budget) <= done + 6 * counters.MOST_CALLS
    assert done > 300 and longest < purses.WAIT_S * 3


async def test_a_quota_that_is_deleted_holds_nobody_up_for_long(tables: Counters) -> None:
    budget = tables.quota(5)
    databases.query(tables.url, "DELETE FROM keys_quota WHERE id = %s", budget.quota_id)
    async with tables.workers() as (worker,):
        with contextlib.suppress(GatewayError):
            await asyncio.wait_for(worker.spend([budget]), 3)
    assert tables.used(budget) == 0


@pytest.mark.parametrize(
    ("amount", "used", "lease"),
    [(1000, 0, 20), (1000, 900, 5), (1000, 999, 1), (1000, 1000, 0), (1000, 1200, 0), (10, 0, 1)],
)
def test_leases_shrink_as_the_end_comes_near(amount: int, used: int, lease: int) -> None:
    assert counters.lease_of(Budget(1, amount=amount, **NOBODY), used) == lease  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", [datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)])
def test_pages_and_workers_agree_on_periods(moment: datetime) -> None:
    for monthly, period in ((False, Period.DAY), (True, Period.MONTH)):
        begins, ends = purses._period(monthly, moment.timestamp())
        assert (begins, datetime.fromtimestamp(ends, UTC)) == period_of(period, moment)


def test_a_rule_names_itself_by_what_the_caller_knows() -> None:
    key, docs = (
        KeyEntry(7, "alice", True, None, None, team_id=4, team="red"),
        NamespaceEntry(3, "docs", RuleSet(), None),
    )
    one, some = NameRule.build("listed", ["search"], ()), NameRule.build("listed", ["search", "hidden*"], ())
    for options, named in [
        ({"counted": "together"}, ("", "global", "gateway")),
        ({"counted": "each_key"}, ("key:7", "key", "alice #7")),
        ({"counted": "each_user"}, ("user:alice", "user", "alice")),
        ({"counted": "each_team"}, ("team:4", "team", "red")),
        ({"counted": "together", "team_id": 4}, ("", "team", "red")),
        ({"counted": "together", "namespace_id": 3}, ("", "namespace", "docs")),
        ({"counted": "each_key", "tools": one}, ("key:7", "tool", "docs/search")),
        ({"counted": "each_key", "tools": some}, ("key:7", "tool", "docs")),
    ]:
        budget = QuotaRule(1, "q", amount=5, **options).budget(key, docs)  # type: ignore[arg-type]
        assert budget is not None and (budget.spender, budget.kind, budget.scope) == named
    for options in ({"namespace_id": 4}, {"user_id": "bob"}, {"team_id": 5}):
        assert QuotaRule(1, "q", "together", 5, **options).budget(key, docs) is None  # type: ignore[arg-type]
    assert QuotaRule(1, "q", "each_team", 5).budget(KeyEntry(8, "bob", True, None, None), docs) is None
