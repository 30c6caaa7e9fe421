"""Every way under every call at every number of connections, in turn: calls a second, CPU a call, median time."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from benchmarks import overhead, report, slow_load
from benchmarks.load import wrk
from benchmarks.loads import SMALL, Call
from benchmarks.rig import Rig
from benchmarks.ways import GATEWAY, Way

CONNECTIONS = (1, 8, 32, 256)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of wrk: which way, call and number of connections, and what came of it."""

    way: str
    call: str
    connections: int
    calls: int
    failed: int
    calls_per_s: float
    p50_ms: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Cell:
    """What the runs of one way, call and number of connections came to: medians."""

    calls_per_s: float
    p50_ms: float
    cpu_us: float
    failed: int


class Matrix:
    """The runs of a benchmark, and what was found for each of their cells."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs

    def cell(self, way: str, call: Call, connections: int) -> Cell | None:
        """Return the medians of these runs; None where there was none or nothing was answered."""
        found = [
            run
            for run in self.runs
            if (run.way, run.call, run.connections) == (way, call.name, connections) and run.calls > run.failed
        ]
        if not found:
            return None
        rate, p50_ms, cpu_us = (
            statistics.median(getattr(run, name) for run in found) for name in ("calls_per_s", "p50_ms", "cpu_us")
        )
        return Cell(rate, p50_ms, cpu_us, sum(run.failed for run in found))

    def tables(self, ways: Sequence[Way], calls: Sequence[Call], connections: Sequence[int]) -> Iterator[str]:
        """Yield what the cells mean in words, then a table for each call, a row for each way."""
        yield (
            "Every way under every call, in turn: calls per second · CPU a call of what stands between · median time. "
            "Where a few dozen calls a second are answered, each connection's last call is waited for."
        )
        for call in calls:
            rows = [[way.title, *(self._words(way, call, count) for count in connections)] for way in ways]
            yield f"**{call.title}**\n\n" + report.table(["", *(f"c={count}" for count in connections)], rows)

    def _words(self, way: Way, call: Call, connections: int) -> str:
        cell = self.cell(way.name, call, connections)
        if cell is None:
            return "no answer"
        rate = f"{cell.calls_per_s:,.0f}" if cell.calls_per_s >= 100 else f"{cell.calls_per_s:.1f}"
        cost = f" · {cell.cpu_us:,.0f} µs" if way.pid is not None else ""
        failed = f" · {cell.failed} failed" if cell.failed else ""
        return f"{rate}/s{cost} · {cell.p50_ms:,.2f} ms{failed}"

    def raw(self) -> list[dict[str, Any]]:
        """Return the runs in the order in which they were."""
        return [asdict(run) for run in self.runs]


def measure(
    rig: Rig, ways: Sequence[Way], calls: Sequence[Call], connections: Iterable[int], rounds: int, seconds: float
) -> Matrix:
    """Put each way under each load, the ways in turn, some rounds of it; a slow way is in the first round only.

    The small call, by which throughput is judged, gets twice the seconds.

    Raises AssertionError when a way does not answer a call as it should.
    """
    for way in ways:
        for call in calls:
            _check(way, call)
    runs = []
    for number in range(rounds):
        for call in calls:
            for count in connections:
                for way in ways:
                    if not way.slow or number == 0:
                        runs.append(_run(rig, way, call, count, seconds * (2 if call == SMALL else 1)))
    return Matrix(runs)


def _check(way: Way, call: Call) -> None:
    """Make one call and look at its answer."""
    answer = httpx.post(way.urls[call.name], content=way.body(call), headers=dict(way.headers), timeout=60)
    said = f"{way.name}, {call.name}: {answer.status_code} {answer.text[:500]}"
    assert answer.status_code == 200 and '"result"' in answer.text and '"isError":true' not in answer.text, said
    assert call.events == 0 or way.slow or answer.text.count("data:") == call.events + 1, said


def _run(rig: Rig, way: Way, call: Call, connections: int, seconds: float) -> Run:
    begun = way.cpu_s()
    make = slow_load.run if way.slow else wrk
    load = make(way.urls[call.name], way.body(call), way.headers, seconds, connections)
    cpu_us = (way.cpu_s() - begun) / max(1, load.calls) * 1e6
    if way.name == GATEWAY:
        overhead.settle(rig)
    return Run(way.name, call.name, connections, load.calls, load.failed, load.calls_per_s, load.p50_ms, cpu_us)
