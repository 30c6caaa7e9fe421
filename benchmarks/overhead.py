"""CPU time a call: the gateway's worker against the bare pass-through, in alternating pairs under the same load."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from benchmarks import processes
from benchmarks.load import CONNECTIONS, Load, wrk
from benchmarks.rig import ANSWER, BODY, HEADERS, Rig
from benchmarks.ways import PLAIN_HEADERS as BARE_HEADERS

FLOOR = 0.70
# What `make bench-quick` refuses to let pass: on a machine with other work on it, single pairs differ by a third.
GUARD = 1.35


@dataclass(frozen=True, slots=True)
class Pair:
    """One run of each, one after the other: microseconds of CPU a call, and calls per second."""

    bare_us: float
    gateway_us: float
    shipper_us: float
    postgres_us: float
    bare_calls_per_s: float
    gateway_calls_per_s: float

    @property
    def ratio(self) -> float:
        """The worker's CPU a call over that of the bare pass-through."""
        return self.gateway_us / self.bare_us


def measure(rig: Rig, pairs: int, seconds: float) -> dict[str, Any]:
    """Return the pairs, their medians, and what shows that nothing was left out: no failure, a row for every call."""
    check_answers(rig)
    wrk(rig.bare, BODY, BARE_HEADERS, 1)
    wrk(rig.url, BODY, HEADERS, 1)
    calls, failed = 0, 0
    measured: list[Pair] = []
    for _ in range(pairs):
        settle(rig)
        bare_load, bare_us = _bare(rig, seconds)
        gateway_load, costs = _gateway(rig, seconds)
        calls += gateway_load.calls
        failed += gateway_load.failed + bare_load.failed
        measured.append(Pair(bare_us, *costs, bare_load.calls_per_s, gateway_load.calls_per_s))
    settle(rig)
    figures = {name: statistics.median(getattr(pair, name) for pair in measured) for name in asdict(measured[0])}
    ratio = statistics.median(pair.ratio for pair in measured)
    rows, complete_rows = _rows(rig)
    return {
        "ratio": ratio,
        **figures,
        "connections": CONNECTIONS,
        "seconds": seconds,
        "pairs": [asdict(pair) | {"ratio": pair.ratio} for pair in measured],
        "calls": calls,
        "failed": failed,
        "rows": rows,
        "complete_rows": complete_rows,
        "ok": ratio <= FLOOR,
        "guarded": ratio <= GUARD,
        "complete": failed == 0 and complete_rows >= calls,
    }


def check_answers(rig: Rig) -> None:
    """Make one call each way. Raises AssertionError when one of them is not the upstream's answer, or not limited."""
    for url, headers in ((rig.upstream, BARE_HEADERS), (rig.bare, BARE_HEADERS), (rig.url, HEADERS)):
        answer = httpx.post(url, content=BODY, headers=headers)
        if rig.upstream_name == "nginx":
            assert answer.json() == ANSWER, f"{url} answered {answer.status_code}: {answer.text}"
        assert answer.status_code == 200, f"{url} answered {answer.status_code}: {answer.text}"
    assert "x-ratelimit-limit" in answer.headers, "the key's limit is not in force"
    refused = httpx.post(rig.url, content=BODY.replace(b'"echo"', b'"hang"'), headers=HEADERS).json()
    assert refused["error"]["message"] == "Unknown tool: hang", "the namespace's rules are not in force"


def _bare(rig: Rig, seconds: float) -> tuple[Load, float]:
    before = processes.cpu_s(rig.bare_pid)
    load = wrk(rig.bare, BODY, BARE_HEADERS, seconds)
    return load, (processes.cpu_s(rig.bare_pid) - before) / load.calls * 1e6


def _gateway(rig: Rig, seconds: float) -> tuple[Load, tuple[float, float, float]]:
    """Return the load, and the microseconds a call of worker, shipper and Postgres."""
    shipper = rig.gateway.pid_of("shipper")
    assert shipper is not None, "the shipper does not run"
    before = processes.cpu_s(rig.worker_pid), processes.cpu_s(shipper), processes.tree_cpu_s(rig.postgres_pid)
    load = wrk(rig.url, BODY, HEADERS, seconds)
    worker = processes.cpu_s(rig.worker_pid)
    settle(rig)  # what the journal still holds is part of what the calls cost
    after = worker, processes.cpu_s(shipper), processes.tree_cpu_s(rig.postgres_pid)
    worker_us, shipper_us, postgres_us = (
        (end - begin) / load.calls * 1e6 for begin, end in zip(before, after, strict=True)
    )
    return load, (worker_us, shipper_us, postgres_us)


def settle(rig: Rig) -> None:
    """Wait until the shipper has brought everything to the database, so that it does not work beside what follows."""
    last, same = -1, 0
    while same < 3:
        time.sleep(0.2)
        ((rows,),) = rig.gateway.query("SELECT count(*) FROM analytics_requestlog")
        same = same + 1 if rows == last else 0
        last = rows


def _rows(rig: Rig) -> tuple[int, int]:
    """Return how many calls of the namespace are on record, and how many of them ended well."""
    ((rows, complete),) = rig.gateway.query(
        "SELECT count(*), count(*) FILTER (WHERE outcome = 'ok') FROM analytics_requestlog WHERE namespace = 'bench'"
    )
    return int(rows), int(complete)
