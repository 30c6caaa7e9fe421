"""What workers decide or refuse by themselves while Redis or PostgreSQL is away stands in /metrics, added up."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.conftest import Gateways
from tests.gateway import Gateway, wait_for
from tests.metrics.conftest import KEYS, configuration, post, scrape, tool
from tests.redis_server import redis_server
from tests.reliability.external_postgres import ExternalPostgres

NAME = "mcp_gateway_without_store_total"
CALLS = 20


def published(url: str) -> dict[str, Any]:
    """Return a configuration in which alice meets a limit and `limited` a quota."""
    found = configuration(url)
    found["keys"][1]["requests_per_minute"] = None
    found["limits"] = {"alice": {"user_id": "alice", "requests": 100_000}}
    found["quotas"] = {"few": {"user_id": "limited", "amount": 1000}}
    return found


def counted(gateway: Gateway, store: str) -> dict[str, float]:
    """Return how many calls were decided alone and refused, for want of `store`."""
    samples = scrape(gateway)
    return {decision: samples.sum(NAME, store=store, decision=decision) for decision in ("alone", "refused")}


def call(gateway: Gateway, user: str, count: int = CALLS) -> list[int]:
    """Make calls, each on a connection of its own, so that both workers get some."""
    return [post(gateway, "open", tool("echo", text="x"), KEYS[user]) for _ in range(count)]


@pytest.mark.parametrize(("policy", "decision", "status"), [("open", "alone", 200), ("closed", "refused", 503)])
def test_each_decision_without_the_store_is_counted(
    request: pytest.FixtureRequest, light: str, policy: str, decision: str, status: int
) -> None:
    other = {"alone": "refused", "refused": "alone"}[decision]
    database = ExternalPostgres().start().create_database()
    try:
        with redis_server() as redis, Gateways(request) as start:
            env = {"REDIS_URL": redis.url, "GATEWAY_RATE_LIMIT_DOWN": policy, "GATEWAY_QUOTA_DOWN": policy}
            env |= {"GATEWAY_REDIS_TIMEOUT_S": "2"}
            gateway = start(workers=2, config=published(light), env=env, database_url=database.url)
            assert len([name for name, _ in scrape(gateway) if name == NAME]) == 4, "all are there from the start"
            # On a machine that is busy, the stores of a gateway that has just started may answer late.
            wait_for(lambda: set(call(gateway, "alice")) == {200} == set(call(gateway, "limited")), 60)
            start_at = counted(gateway, "redis")
            after = start_at | {decision: start_at[decision] + CALLS}

            redis.kill()
            assert set(call(gateway, "alice")) == {status}
            assert counted(gateway, "redis") == after

            victim = gateway.worker_pids()[0]
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: victim not in gateway.worker_pids() and len(gateway.worker_pids()) == 2, 30)
            assert counted(gateway, "redis") == after

            database.crash()
            call(gateway, "limited", 3 * CALLS)  # what is leased ahead, 2 × 20 at most, is used up
            before = counted(gateway, "database")
            assert before[decision] >= CALLS and before[other] == 0 == after[other]
            assert set(call(gateway, "limited")) == {status}
            assert counted(gateway, "database") == {decision: before[decision] + CALLS, other: 0}
    finally:
        database.close()
