"""Quotas over the workers of a gateway: exact, in force at once, told to callers; kept through kill -9 and outages."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Gateways
from tests.gateway import Gateway, wait_for
from tests.limits.conftest import KEYS, ask, configuration, refusal
from tests.reliability.client import Broken, Connection, protocol_headers, tool_call
from tests.reliability.external_postgres import ExternalPostgres
from tests.upstreams.listening import started

USED = "SELECT coalesce(sum(used), 0) FROM keys_quotause JOIN keys_quota q ON q.id = quota_id WHERE slug = %s"


@pytest.fixture(scope="session")
def light() -> Iterator[str]:
    """Run the upstream and yield its URL."""
    with started("tests.upstreams.echo_fast") as url:
        yield url


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, light: str) -> Iterator[Gateway]:
    """A gateway with four workers."""
    with Gateways(request) as start:
        yield start(workers=4, config=configuration(light, {}))


def put(gateway: Gateway, light: str, quotas: dict[str, Any], limits: dict[str, Any] | None = None) -> None:
    """Put these quotas in force, and no others."""
    gateway.import_config(configuration(light, limits or {}) | {"quotas": quotas}, "--prune")
    time.sleep(0.4)


def used(gateway: Gateway, slug: str) -> int:
    return int(gateway.query(USED, slug)[0][0])


async def many(gateway: Gateway, count: int, key: str = "alice", at_once: int = 40) -> list[int]:
    """Make calls, on a connection each so that they reach all workers; return their statuses, 0 for a broken one."""
    gate = asyncio.Semaphore(at_once)
    headers = protocol_headers(KEYS[key], bare=True)

    async def call() -> int:
        async with gate:
            try:
                connection = await Connection.open(gateway.port)
                answer = await connection.call("POST", "/mcp/docs", headers, tool_call("echo", {}))
            except (Broken, OSError):
                return 0
            connection.close()
            return answer.status

    return list(await asyncio.gather(*(call() for _ in range(count))))


async def test_four_workers_let_the_amount_pass_and_no_more(gateway: Gateway, light: str) -> None:
    put(gateway, light, {"daily": {"amount": 200, "counted": "each_user"}})
    statuses = await many(gateway, 400)
    assert set(statuses) == {200, 429}
    assert 190 <= statuses.count(200) <= 200
    # What other workers had leased and not used comes back, and then all of it can be had.
    more = 0
    deadline = time.monotonic() + 20
    while statuses.count(200) + more < 200 and time.monotonic() < deadline:
        await asyncio.sleep(1)
        more += (await many(gateway, 8)).count(200)
    assert statuses.count(200) + more == 200 == used(gateway, "daily")
    answer = ask(gateway)
    data = refusal(answer)
    assert data["reason"] == "quota_exceeded" and data["requestId"] == answer.headers["x-request-id"]
    assert data["quota"] == {"kind": "user", "scope": "alice", "measure": "calls", "period": "day", "amount": 200}
    assert data["resetsAt"].endswith("T00:00:00Z")
    assert 0 < data["retryAfterMs"] <= 86_400_001 and int(answer.headers["retry-after"]) <= 86_400
    assert ask(gateway, key="bob").status_code == 200
    gateway.query("UPDATE keys_quota SET amount = 1000")
    wait_for(lambda: ask(gateway).status_code == 200, 3, "the quota that was raised is not in force")
    rows = "SELECT outcome, reason FROM analytics_requestlog WHERE request_id = %s"
    found = wait_for(lambda: gateway.query(rows, answer.headers["x-request-id"]), 10)
    assert found == [("limited", "quota_exceeded")]


def test_a_call_that_a_limit_refuses_uses_up_no_quota(gateway: Gateway, light: str) -> None:
    limit = {"requests": 3, "window": 3600, "algorithm": "sliding_window"}
    put(gateway, light, {"calls": {"amount": 1000, "counted": "together"}}, {"few": limit})
    assert [ask(gateway).status_code for _ in range(8)].count(200) == 3
    put(gateway, light, {"calls": {"amount": 1000, "counted": "together"}})
    wait_for(lambda: used(gateway, "calls") == 3, 30, lambda: f"used: {used(gateway, 'calls')}")


def test_answers_count_by_their_bytes(gateway: Gateway, light: str) -> None:
    put(gateway, light, {"bytes": {"amount": 500, "measure": "response_bytes", "counted": "together"}})
    sizes = []
    while (answer := ask(gateway)).status_code == 200:
        sizes.append(len(answer.content))
        assert len(sizes) < 40
        time.sleep(0.05)
    assert refusal(answer)["quota"]["measure"] == "response_bytes"
    # Over by the answer that was under way, as each worker may be; under by what the workers have leased (10 bytes).
    assert 500 - 4 * 2 * 10 <= sum(sizes) <= 500 + 4 * max(sizes)
    wait_for(lambda: used(gateway, "bytes") == sum(sizes), 15, lambda: f"{used(gateway, 'bytes')} {sum(sizes)}")


def test_a_quota_of_one_key_leaves_the_users_other_key_alone(gateway: Gateway, light: str) -> None:
    put(gateway, light, {"one": {"amount": 0, "key": KEYS["alice"], "counted": "together"}})
    told = refusal(ask(gateway))["quota"]
    assert told["kind"] == "key" and told["scope"].startswith("alice #")
    assert ask(gateway, key="alice-too").status_code == 200


def test_tools_have_quotas_and_hidden_ones_are_not_revealed(gateway: Gateway, light: str) -> None:
    put(gateway, light, {"add": {"amount": 0, "tools": ["add"], "counted": "together"}})
    assert refusal(ask(gateway, tool="add"))["quota"]["scope"] == "docs/add"
    assert ask(gateway).status_code == 200
    hidden, unknown = (ask(gateway, "listed", tool=tool).json()["error"] for tool in ("add", "nothing"))
    assert (hidden["code"], hidden["message"]) == (unknown["code"], "Unknown tool: add")


async def test_a_killed_worker_loses_nothing_but_its_lease(gateway: Gateway, light: str) -> None:
    amount = 2000
    put(gateway, light, {"kills": {"amount": amount, "counted": "together"}})
    work = asyncio.create_task(many(gateway, 600, at_once=20))
    for _ in range(3):
        await asyncio.sleep(0.4)
        os.kill(gateway.worker_pids()[0], signal.SIGKILL)
    statuses = await work
    passed, broken = statuses.count(200), statuses.count(0)
    assert set(statuses) <= {200, 0} and passed > 300
    lease = amount // 50
    # Every call that passed is booked; beyond them at most the calls that broke, and the leases of all workers.
    assert passed <= used(gateway, "kills") <= passed + broken + (3 + 4) * 2 * lease


@pytest.mark.parametrize("policy", ["open", "closed"])
async def test_the_database_away(request: pytest.FixtureRequest, light: str, policy: str) -> None:
    """Leases are used up first; then calls go on and are booked later, or are refused until it is back."""
    server = ExternalPostgres().start().create_database()
    try:
        with Gateways(request) as start:
            config = configuration(light, {}) | {"quotas": {"daily": {"amount": 1000, "counted": "together"}}}
            gateway = start(config=config, env={"GATEWAY_QUOTA_DOWN": policy}, database_url=server.url)
            assert ask(gateway).status_code == 200
            server.crash()
            statuses = await many(gateway, 60, at_once=10)
            if policy == "open":
                assert set(statuses) == {200}
            else:
                assert statuses.count(200) == 19 and set(statuses) == {200, 503}
                assert ask(gateway).json()["error"]["data"]["reason"] == "quota_unknown"
            server.start()
            wait_for(lambda: ask(gateway).status_code == 200, 15)
            passed = 1 + statuses.count(200) + 1
            wait_for(lambda: used(gateway, "daily") >= passed, 15)
            assert used(gateway, "daily") <= passed + 20
    finally:
        server.close()
