"""A13: wrong keys are counted by address over all workers of a host; good ones pass, wherever they come from."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from keys import secrets
from proxy.errors import Limited, Unauthenticated
from proxy.strangers import BURST, Strangers
from tests.gateway import Gateway

WRONG = Unauthenticated("The key is not known.", reason="credential_unknown")
KEY = secrets.generate()
SENT = 1000


def passed(strangers: Strangers, address: str, number: int, now: float = 1000.0) -> int:
    """Count so many failures of an address at one moment; return how many were answered as what they are."""
    return sum(strangers.judge(WRONG, address, now) is WRONG for _ in range(number))


def test_a_burst_passes_and_then_one_each_interval() -> None:
    strangers = Strangers(60)
    assert passed(strangers, "192.0.2.1", 500) == BURST
    refusal = strangers.judge(WRONG, "192.0.2.1", 1000.0)
    assert isinstance(refusal, Limited) and refusal.reason == "too_many_failures"
    assert passed(strangers, "192.0.2.1", 10, now=1003.0) == 3
    assert passed(strangers, "192.0.2.1", 500, now=9999.0) == BURST, "whoever was quiet begins anew"
    assert passed(strangers, "192.0.2.2", 5) == 5


def test_what_counts_as_one_address() -> None:
    strangers = Strangers(60)
    assert passed(strangers, "192.0.2.1", BURST) == BURST
    assert passed(strangers, "::ffff:192.0.2.1", 1) == 0, "an IPv4 address that is written as IPv6"
    assert passed(strangers, "2001:db8::1", BURST) == BURST
    assert passed(strangers, "2001:db8::ffff", 1) == 0, "a host owns its 64 bits"
    assert passed(strangers, "2001:db8:0:1::1", 1) == 1


def test_a_missing_key_is_no_guess_and_0_switches_it_off() -> None:
    missing = Unauthenticated("A key is needed.", reason="credential_missing")
    strangers = Strangers(60)
    assert all(strangers.judge(missing, "192.0.2.1", 0.0) is missing for _ in range(500))
    assert passed(strangers, "192.0.2.1", 1) == 1
    assert passed(Strangers(0), "192.0.2.1", 5000) == 5000


def test_many_addresses_neither_grow_the_table_nor_free_the_guilty() -> None:
    strangers = Strangers(60)
    assert passed(strangers, "192.0.2.1", 500) == BURST
    for number in range(20_000):
        strangers.judge(WRONG, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1000.0)
    assert passed(strangers, "192.0.2.1", 10) == 0, "those who failed once are forgotten first"


def _fail(path: str, number: int, found: Any) -> None:
    found.put(passed(Strangers(60, Path(path)), "192.0.2.1", number))


def test_four_processes_share_one_count(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    processes = [context.Process(target=_fail, args=(str(tmp_path / "table"), 200, found)) for _ in range(4)]
    for process in processes:
        process.start()
    total = sum(found.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)
    assert total == BURST
    assert passed(Strangers(60, tmp_path / "table"), "192.0.2.1", 1) == 0, "the next process counts on"


def test_guessers_are_slowed_down_over_all_workers_and_good_keys_are_not(make_gateway: Callable[..., Gateway]) -> None:
    config = {
        "upstreams": {"none": {"url": "http://127.0.0.1:10/mcp"}},
        "namespaces": {"demo": {"upstream": "none"}},
        "keys": [{"key": KEY, "user_id": "alice", "namespaces": ["demo"]}],
    }
    env = {"GATEWAY_TRUSTED_PROXIES": "127.0.0.1", "GATEWAY_FAILED_CREDENTIALS_PER_MINUTE": "60"}
    gateway = make_gateway(workers=4, config=config, env=env | {"GATEWAY_PROBE_INTERVAL_S": "0"})
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    # One client, because making one costs more than a call; but each call on a connection of its own.
    client = httpx.Client(base_url=gateway.base, limits=httpx.Limits(max_keepalive_connections=0), timeout=60)

    def ask(key: str, address: str) -> int:
        """Call as whoever the trusted proxy says."""
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": address}
        return client.post("/mcp/demo", json=body, headers=headers).status_code

    with ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(lambda _: ask(secrets.generate(), "198.51.100.1"), range(SENT)))
    assert set(statuses) == {401, 429}
    passed_on = statuses.count(401)
    assert BURST <= passed_on < SENT / 2, passed_on
    print(f"{SENT} wrong keys from one address over 4 workers: {passed_on} answered 401, the others 429")
    assert ask(KEY, "198.51.100.2") == ask(KEY, "198.51.100.1") == 502, "the dead upstream's answer"
    assert ask("garbage", "198.51.100.2") == 401

    # An address that a client made up stands before the one that the proxy saw.
    # One guess a second is let through, so not each of a few is refused.
    assert 429 in [ask("garbage", "203.0.113.9, 198.51.100.1") for _ in range(4)]

    # The REST API, which a process of its own answers, counts in the same place.
    def rest(key: str) -> httpx.Response:
        return client.get("/namespaces", headers={"X-API-Key": key, "X-Forwarded-For": "198.51.100.9"})

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: rest(secrets.generate()), range(BURST * 2)))
        at_mcp = list(threads.map(lambda _: ask("garbage", "198.51.100.9"), range(16)))
    told = [answer.status_code for answer in answers]
    assert set(told) == {401, 429} and told.count(401) >= BURST
    assert 429 in at_mcp, "what was guessed there counts here"
    refused = answers[told.index(429)]
    assert refused.json()["error"]["reason"] == "too_many_failures" and int(refused.headers["retry-after"]) >= 1
    assert refused.headers["x-request-id"] and "www-authenticate" not in refused.headers
    assert rest(KEY).status_code == 200
    assert client.get("/namespaces", headers={"X-Forwarded-For": "198.51.100.9"}).status_code == 401
