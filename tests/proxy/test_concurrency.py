"""Calls in flight: the table of places, its queue, many processes on one table, and what a client sees of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.concurrency import Concurrency
from proxy.entries import Cap
from proxy.errors import GatewayError, Limited, Unavailable
from proxy.places import FRESH_S, Places
from tests.gateway import Gateway, wait_for
from tests.proxy.plane import BOTH, KEYS, Caller, message, tool_call
from tests.proxy.scripted import on_both_loops
from tests.proxy.wire import Connection, request
from tests.upstreams.listening import ROOT

CAP = Cap(3, 2, 5, 1.0, "upstream")


def concurrency(places: Places | None = None) -> Concurrency:
    return Concurrency(places or Places(None), time.monotonic, asyncio.get_running_loop().call_later)


async def enter(limit: Concurrency, cap: Cap = CAP) -> None:
    if not limit.take(cap):
        await limit.wait(cap)


def two_workers(path: Path) -> tuple[Places, Places]:
    return Places(path, 0, 2), Places(path, 1, 2)


def test_no_more_places_than_there_are(tmp_path: Path) -> None:
    for first, second in (two_workers(tmp_path / "places"), (Places(None),) * 2):
        assert [places.take(3, 3, 1.0) for places in (first, second, first, second)] == [True, True, True, False]
        assert second.taken(3) == 3 and second.taken(4) == 0
        first.give_back(3)
        assert [second.take(3, 3, 1.0), second.take(3, 3, 1.0)] == [True, False]


def test_the_table_grows_and_limits_do_not_share(tmp_path: Path) -> None:
    for first, second in (two_workers(tmp_path / "places"), (Places(None),) * 2):
        for slot in (0, 1, 4095, 4096, 70_000):
            assert first.take(slot, 1, 1.0) and not second.take(slot, 1, 1.0)
            assert second.taken(slot) == 1


def test_a_worker_that_starts_clears_what_its_predecessor_held(tmp_path: Path) -> None:
    killed, other = two_workers(tmp_path / "places")
    assert killed.take(3, 2, 1.0) and other.take(3, 2, 1.0) and killed.enqueue(3, 9, 1.0)
    killed.say(3, 1.0, 1.0)
    successor = Places(tmp_path / "places", 0, 2)
    assert (successor.taken(3), successor.waiting(3)) == (1, 0)


def test_who_came_first_in_another_worker_goes_first_while_that_worker_lives(tmp_path: Path) -> None:
    first, second = two_workers(tmp_path / "places")
    assert first.enqueue(3, 9, 10.0)
    first.say(3, 10.0, 10.0)
    assert not second.take(3, 1, 10.01), "a newcomer overtook a call that waits elsewhere"
    assert not second.claim(3, 1, 10.005, 10.01)
    assert second.claim(3, 1, 9.995, 10.01), "an older call waits for nobody younger"
    second.give_back(3)
    assert second.take(3, 1, 10.0 + 2 * FRESH_S), "a worker that says nothing any more stops nobody"


@on_both_loops
async def test_first_come_first_served() -> None:
    limit = concurrency()
    served: list[int] = []

    async def one(number: int) -> None:
        await enter(limit)
        served.append(number)
        await asyncio.sleep(0.01)
        limit.give_back(CAP)

    await asyncio.gather(*(one(number) for number in range(7)))
    assert served == list(range(7))
    assert limit.places.taken(3) == limit.places.waiting(3) == 0 and not limit.queues


@on_both_loops
async def test_a_full_queue_refuses_at_once_and_a_long_wait_ends() -> None:
    limit = concurrency()
    cap = Cap(3, 1, 2, 0.2, "upstream")
    await enter(limit, cap)
    begun = time.monotonic()
    waiting = [asyncio.ensure_future(enter(limit, cap)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await enter(limit, cap)
    assert time.monotonic() - begun < 0.1
    assert (refused.value.status, refused.value.reason) == (503, "upstream_busy")
    assert (b"retry-after", b"1") in refused.value.headers and refused.value.data == {"retryAfterMs": 1000}
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [getattr(error, "reason", None) for error in ended] == ["upstream_busy"] * 2
    assert 0.19 < time.monotonic() - begun < 0.5
    assert (limit.places.taken(3), limit.places.waiting(3)) == (1, 0)


@on_both_loops
async def test_no_queue_means_no_waiting() -> None:
    for cap in (Cap(3, 1, 0, 5.0, "key"), Cap(4, 1, 5, 0.0, "key")):
        limit = concurrency()
        await enter(limit, cap)
        begun = time.monotonic()
        with pytest.raises(Limited) as refused:
            await enter(limit, cap)
        assert (refused.value.status, refused.value.reason) == (503, "key_busy")
        assert time.monotonic() - begun < 0.1 and not limit.queues


@on_both_loops
async def test_thousands_who_leave_while_they_wait_or_work_cost_no_place() -> None:
    limit, random_ = concurrency(), random.Random(5)
    cap = Cap(3, 3, 40, 0.02, "upstream")

    async def leaver() -> None:
        with contextlib.suppress(TimeoutError, GatewayError):
            async with asyncio.timeout(random_.random() * 0.004):
                await enter(limit, cap)
                try:
                    await asyncio.sleep(random_.random() * 0.002)
                finally:
                    limit.give_back(cap)

    for _ in range(100):
        await asyncio.gather(*(leaver() for _ in range(50)))
    assert (limit.places.taken(3), limit.places.waiting(3)) == (0, 0) and not limit.queues
    for _ in range(3):
        assert limit.take(cap)
    assert not limit.take(cap)


@on_both_loops
async def test_who_leaves_in_the_moment_of_being_let_in_passes_the_place_on() -> None:
    limit = concurrency()
    cap = Cap(3, 1, 5, 1.0, "upstream")
    await enter(limit, cap)
    leaving, staying = (asyncio.ensure_future(enter(limit, cap)) for _ in range(2))
    await asyncio.sleep(0)
    limit.give_back(cap)  # its future is set, and before its task runs …
    leaving.cancel()
    await asyncio.wait_for(staying, 0.5)
    assert limit.places.taken(3) == 1


WORKER = """
import asyncio, random, sys, time
from pathlib import Path
from proxy.concurrency import Concurrency
from proxy.errors import GatewayError
from proxy.places import Places
from proxy.entries import Cap

directory, index = Path(sys.argv[1]), int(sys.argv[2])
cap = Cap(7, 5, 1000, 20.0, "upstream")
inside = open(directory / "inside", "ab", buffering=0)

async def main():
    limit = Concurrency(Places(directory / "places", index, 4), time.monotonic, asyncio.get_running_loop().call_later)
    waits = []
    async def one():
        begun = time.monotonic()
        if not limit.take(cap):
            await limit.wait(cap)
        waits.append(time.monotonic() - begun)
        inside.write(b"%d + %.6f\\n" % (index, time.monotonic()))
        await asyncio.sleep(0.002 * random.random())
        inside.write(b"%d - %.6f\\n" % (index, time.monotonic()))
        limit.give_back(cap)
    await asyncio.gather(*(one() for _ in range(150)))
    print(max(waits), limit.places.waiting(7))

asyncio.run(main())
"""


def test_four_processes_share_the_places_to_the_unit(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import django, os\nos.environ['DJANGO_SETTINGS_MODULE']='tests.settings'\n"
               "django.setup()\n" + WORKER]  # fmt: skip
    workers = [
        subprocess.Popen([*command, str(tmp_path), str(index)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for index in range(4)
    ]
    longest = [float((worker.communicate(timeout=60)[0] or "nan").split()[0]) for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    lines = [line.split() for line in (tmp_path / "inside").read_text().splitlines()]
    steps = sorted((float(at), 1 if what == b"+" or what == "+" else -1) for _, what, at in lines)
    inside = most = 0
    for _, step in steps:
        inside += step
        most = max(most, inside)
    assert inside == 0 and len(lines) == 1200
    assert most <= 5
    assert max(longest) < 15, "a worker's calls starved"
    assert Places(tmp_path / "places", 0, 4).taken(7) == 0


# What a client sees


@pytest.fixture(scope="module")
def narrow(start_gateway: Callable[..., Gateway], plane_upstreams: dict[str, str]) -> Gateway:
    """Two workers; one upstream that takes two calls and lets two wait, one that lets none, a key of one call."""
    url = plane_upstreams["echo"]
    config: dict[str, Any] = {
        "upstreams": {
            "narrow": {"url": url, "max_concurrency": 2, "queue_length": 2, "queue_wait": "400ms"},
            "strict": {"url": url, "max_concurrency": 1, "queue_length": 0},
            "wide": {"url": url},
        },
        "namespaces": {name: {"upstream": name} for name in ("narrow", "strict", "wide")},
        "keys": [
            {"key": KEYS["alice"], "user_id": "alice", "all_namespaces": True},
            {"key": KEYS["carol"], "user_id": "carol", "all_namespaces": True, "max_concurrency": 1},
        ],
    }
    env = {"GATEWAY_QUEUE_WAIT_S": "0.3", "GATEWAY_PROBE_INTERVAL_S": "0"}
    return start_gateway(config=config, workers=2, env=env)


@pytest.fixture(scope="module")
def caller_narrow(narrow: Gateway, plane_upstreams: dict[str, str]) -> Caller:
    return Caller(narrow, plane_upstreams)


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    answers: list[Any] = [None] * len(calls)

    def one(number: int) -> None:
        answers[number] = calls[number]()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def sleeping(caller: Caller, namespace: str, milliseconds: int, key: str = "alice") -> Callable[[], Any]:
    return lambda: caller.post(namespace, tool_call("sleep", {"ms": milliseconds}), key=key)


def test_two_go_two_wait_and_the_rest_hear_503(caller_narrow: Caller) -> None:
    begun = time.monotonic()
    answers = at_once([sleeping(caller_narrow, "narrow", 200) for _ in range(7)])
    assert sorted(answer.status for answer in answers) == [200] * 4 + [503] * 3
    assert time.monotonic() - begun < 2
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.reason for answer in refused} == {"upstream_busy"}
    assert {answer.header("retry-after") for answer in refused} == {"1"}
    assert {answer.json["error"]["data"]["retryAfterMs"] for answer in refused} == {1000}


def test_who_waits_too_long_hears_503(caller_narrow: Caller) -> None:
    answers = at_once([sleeping(caller_narrow, "narrow", 900) for _ in range(3)])
    assert sorted(answer.status for answer in answers) == [200, 200, 503]
    waited = [float(answer.header("x-response-time-ms")) for answer in answers if answer.status == 503]
    assert 350 < waited[0] < 700


def test_a_keys_own_limit_holds_over_namespaces(caller_narrow: Caller) -> None:
    calls = [sleeping(caller_narrow, name, 700, "carol") for name in ("wide", "strict")]
    assert sorted(answer.reason or "" for answer in at_once(calls)) == ["", "key_busy"]
    assert caller_narrow.post("wide", tool_call(), key="carol").status == 200


def test_others_and_messages_that_are_no_requests_are_not_held_up(caller_narrow: Caller) -> None:
    def later() -> tuple[Any, ...]:
        time.sleep(0.2)
        notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        headers = {"MCP-Protocol-Version": "2025-11-25"}
        return (
            caller_narrow.post("strict", message("ping"), headers).status,
            caller_narrow.post("strict", notice, headers).status,
            caller_narrow.post("wide", tool_call()).status,
        )

    answers = at_once([sleeping(caller_narrow, "strict", 700), later])
    assert (answers[0].status, answers[1]) == (200, (503, 202, 200))


def test_clients_that_leave_while_they_wait_or_are_served_cost_no_place(caller_narrow: Caller) -> None:
    body = json.dumps(tool_call("sleep", {"ms": 60})).encode()
    headers = [("Authorization", f"Bearer {KEYS['alice']}"), ("Content-Type", "application/json"), ("Accept", BOTH)]
    random_ = random.Random(3)

    def leave_many() -> None:
        for _ in range(100):
            with Connection(caller_narrow.port) as connection:
                connection.send(request("/mcp/narrow", body, headers))
                time.sleep(random_.random() * 0.03)

    at_once([leave_many] * 8)
    wait_for(lambda: caller_narrow.post("narrow", tool_call()).status == 200, 5)
    time.sleep(0.5)
    answers = at_once([sleeping(caller_narrow, "narrow", 200) for _ in range(4)])
    assert [answer.status for answer in answers] == [200] * 4
