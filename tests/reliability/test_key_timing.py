"""P21: the time of a refusal tells nothing about a key, and a bad key costs no look into the database."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import statistics
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from keys import secrets
from proxy import auth
from proxy.entries import KeyEntry
from proxy.errors import Unauthenticated
from proxy.head import Head
from proxy.snapshot import Snapshot
from tests.gateway import Gateway
from tests.reliability.client import Connection, protocol_headers, tool_call
from tests.reliability.conftest import KEYS, Figure
from tests.reliability.external_postgres import ExternalPostgres

PEPPER = "the-pepper-of-this-test"
# How many characters of a wrong key are right. The first two kinds are the same: what differs between them is noise.
AGREE = {"none": 0, "control": 0, "prefix": 12, "half": secrets.KEY_LENGTH // 2, "nearly all": secrets.KEY_LENGTH - 3}
NOISE = 4.5  # the |t| that side-channel evaluation (TVLA) takes for a leak


def _guess(key: str, right: int, chance: random.Random) -> str:
    """A wrong key that agrees with `key` in its first `right` characters and differs in the next."""
    other = chance.choice([letter for letter in string.ascii_letters if letter != key[right]])
    tail = "".join(chance.choices(string.ascii_letters, k=len(key)))
    return (key[:right] + other + tail)[: len(key)]


def _round(key: str, chance: random.Random) -> list[tuple[str, str]]:
    """One guess of each kind, new ones, in random order: (kind, guess).

    Welch's t takes its samples for independent. A few guesses used again and again are not (each has its own place
    in the tables), nor are calls that a drift of the machine's speed hits by kind; rounds of new guesses are.
    """
    kinds = chance.sample(list(AGREE), len(AGREE))
    return [(kind, _guess(key, AGREE[kind], chance)) for kind in kinds]


def _welch(first: list[float], second: list[float]) -> tuple[float, float]:
    """Welch's t of two samples and the difference that would reach NOISE.

    The slowest tenth of both (interruptions) is left out at one common bound.
    """
    bound = statistics.quantiles(first + second, n=10)[8]
    a, b = ([value for value in values if value <= bound] for values in (first, second))
    spread = math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
    return (statistics.fmean(a) - statistics.fmean(b)) / spread, NOISE * spread


@dataclass(frozen=True, slots=True)
class Verdict:
    """The largest |t| of the kinds that agree in part, that of the control, and what would have shown (ns)."""

    worst: float
    control: float
    visible_ns: float

    @classmethod
    def of(cls, times: dict[str, list[float]]) -> Verdict:
        """Hold every kind against the one that agrees in nothing."""
        found = {kind: _welch(values, times["none"]) for kind, values in times.items() if kind != "none"}
        worst = max(abs(t) for kind, (t, _) in found.items() if kind != "control")
        return cls(worst, abs(found["control"][0]), max(visible for _, visible in found.values()))


def test_authenticate_takes_as_long_for_any_wrong_key(full: bool, figure: Figure) -> None:
    count = 100_000 if full else 20_000
    chance, key = random.Random(21), secrets.generate()
    entry = KeyEntry(1, "somebody", True, None, None)
    held = {secrets.digest(secrets.generate(), PEPPER): (entry, None) for _ in range(1000)}
    snapshot = Snapshot(
        marker=1,
        namespaces={},
        upstreams={},
        keys={1: entry},
        secrets=held | {secrets.digest(key, PEPPER): (entry, None)},
        revoked={},
        grants={},
    )
    times: dict[str, list[float]] = {kind: [] for kind in AGREE}
    right: list[float] = []
    for _ in range(count // len(AGREE)):
        heads = [(kind, _head(guess)) for kind, guess in _round(key, chance)]
        for kind, head in heads:
            times[kind].append(_time_of(head, snapshot))
        right.append(_time_of(_head(key), snapshot))
    verdict = Verdict.of(times)
    figure(
        "P21",
        f"{count:,} calls of authenticate(), wrong keys that agree with a real one to four lengths, in random order",
        f"|t| {verdict.worst:.1f} at most (control {verdict.control:.1f}); "
        f"{verdict.visible_ns:.0f} ns of difference would have shown",
        f"|t| < {NOISE}",
    )
    assert verdict.worst < NOISE
    assert abs(_welch(right, times["none"])[0]) > NOISE, "the test is too coarse to see anything"


def _head(token: str) -> Head:
    return Head([(b"host", b"localhost"), (b"authorization", b"Bearer " + token.encode())])


def _time_of(head: Head, snapshot: Snapshot) -> float:
    begun = time.perf_counter_ns()
    with contextlib.suppress(Unauthenticated):
        auth.authenticate(head, snapshot, (PEPPER,), 0.0)
    return float(time.perf_counter_ns() - begun)


@pytest.fixture
def chatty_postgres() -> Iterator[ExternalPostgres]:
    """A server that logs every statement with the name of who sent it."""
    server = ExternalPostgres("log_statement=all", "log_line_prefix=%a|")
    try:
        yield server.start().create_database()
    finally:
        server.close()


# They write the request log, add it up and make its partitions, as often as time goes by and not as calls come.
UPKEEP = tuple(f"gateway {name}|" for name in ("shipper", "announcer", "roll-ups", "maintain"))


def _statements(server: ExternalPostgres) -> list[str]:
    """What was asked of the database so far, by anybody but the processes of the upkeep."""
    lines = server.log.read_text(errors="replace").splitlines()
    others = (line for line in lines if not line.startswith(UPKEEP))
    return [line for line in others if "LOG:  statement: " in line or "LOG:  execute " in line]


async def _settled(server: ExternalPostgres) -> int:
    """Return how many statements there were once no process had read the keys for two seconds."""
    count, since = -1, time.monotonic()
    while time.monotonic() < since + 2:
        await asyncio.sleep(0.2)
        if (now := sum("keys_" in line for line in _statements(server))) != count:
            count, since = now, time.monotonic()
    return len(_statements(server))


async def test_refusals_over_a_socket_take_as_long_and_cost_no_sql(
    chatty_postgres: ExternalPostgres,
    make_gateway: Callable[..., Gateway],
    config: dict[str, Any],
    full: bool,
    figure: Figure,
) -> None:
    count = 20_000 if full else 4_000
    # Every wrong key is to be looked at, and no upstream: a list found would be read, and the keys with it.
    env = {"GATEWAY_FAILED_CREDENTIALS_PER_MINUTE": "0", "GATEWAY_PROBE_INTERVAL_S": "0"}
    gateway = make_gateway(config=config, database_url=chatty_postgres.url, env=env)
    chance, key = random.Random(22), KEYS["guessed"]
    connection = await Connection.open(gateway.port)
    times: dict[str, list[float]] = {kind: [] for kind in AGREE}
    body = tool_call("echo", {})
    assert (await connection.call("POST", "/mcp/first", protocol_headers(key), body)).status == 200
    before = await _settled(chatty_postgres)
    for _ in range(count // len(AGREE)):
        for kind, guess in _round(key, chance):
            headers = protocol_headers(guess)
            begun = time.perf_counter_ns()
            answer = await connection.call("POST", "/mcp/first", headers, body)
            times[kind].append(float(time.perf_counter_ns() - begun))
            assert answer.status == 401
    asked = _statements(chatty_postgres)[before:]
    connection.close()
    verdict = Verdict.of(times)
    about_keys = [line for line in asked if "keys_" in line]
    figure(
        "P21",
        f"{count:,} requests with wrong keys that agree with a real one to four lengths, in random order",
        f"|t| {verdict.worst:.1f} at most (control {verdict.control:.1f}); {verdict.visible_ns / 1000:.1f} µs would "
        f"have shown; {len(about_keys)} SQL statements about keys, {len(asked)} in all but for the upkeep's",
        f"|t| < {NOISE}, 0 SQL",
    )
    assert verdict.worst < NOISE
    assert about_keys == []
    assert len(asked) < count / 50, "something asks the database at every refusal"
    assert before > 100, "the server's log was not read"
