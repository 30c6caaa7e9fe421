"""`make bench`: what the gateway costs and adds, beside no gateway at all, nginx, a bare pass-through and its peers."""

from __future__ import annotations

import argparse
import contextlib
import resource
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks import chart, floors, idle, latency, machine, matrix, overhead, peers, report, rig, streaming
from benchmarks.loads import CALLS, LIST, SMALL, STREAM, WHOLE_LIST, Call
from benchmarks.ways import DIRECT, GATEWAY, Way


@dataclass(frozen=True, slots=True)
class Size:
    """How long each part runs. Short pairs scatter more, but both halves of one see the same machine: more of them."""

    pairs: int
    pair_s: float
    calls: int
    stream_s: float
    rounds: int
    connections: Sequence[int]
    kinds: Sequence[Call]
    idle: int


FULL = Size(5, 5, 3000, 15, rounds=2, connections=matrix.CONNECTIONS, kinds=CALLS, idle=1000)
QUICK = Size(7, 1, 500, 3, rounds=1, connections=(floors.AT,), kinds=(SMALL, STREAM), idle=200)
RUN_S = 1
LIST_ROUNDS = 3
_PEERS = (
    "The peers run as their documentation says, one worker each, directly before the MCP server that nginx stands in "
    "front of for the others; its time is small beside theirs. FastMCP checks no key and lists every tool. "
    "ContextForge checks a token and publishes what the namespace does; its rate limiter, plugins and access log are "
    "off. Both answer the SSE call with one JSON document, the events left out."
)


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured."""

    cost: dict[str, Any]
    added: dict[str, Any]
    stream: dict[str, Any]
    silent: dict[str, Any]
    runs: matrix.Matrix
    lists: matrix.Matrix
    ways: Sequence[Way]
    missing: dict[str, str]
    upstream: str

    def figures(self) -> list[floors.Figure]:
        """Return what is judged, and what is shown beside it."""
        titles = {way.name: way.title for way in self.ways}
        return [
            *floors.of_cost(self.cost),
            *floors.of_time(self.added, self.stream),
            *floors.of_throughput(self.runs, titles),
            *floors.of_kinds(self.runs, self.lists, self.silent),
        ]

    def raw(self) -> dict[str, Any]:
        """Return it for the JSON file."""
        return {
            "overhead": self.cost,
            "latency": self.added,
            "streaming": self.stream,
            "idle": self.silent,
            "runs": self.runs.raw(),
            "lists": self.lists.raw(),
            "missing": self.missing,
        }


def measure(size: Size, quick: bool) -> Found:
    """Start everything and measure it, part after part; silent streams first, while no memory was used and freed."""
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(rig.running())
        others, missing = ([], {}) if quick else stack.enter_context(peers.running(running.streams))
        own = running.ways()
        silent = idle.measure(own, size.idle)
        cost = overhead.measure(running, size.pairs, size.pair_s)
        added = latency.measure(running, size.calls)
        stream = streaming.measure(running, size.stream_s)
        gateway = [way for way in own if way.name == GATEWAY]
        lists = matrix.measure(running, gateway, (LIST, WHOLE_LIST), (floors.AT,), 1 if quick else LIST_ROUNDS, RUN_S)
        compared = [way for way in own if way.name != DIRECT] if quick else own + others
        runs = matrix.measure(running, compared, size.kinds, size.connections, size.rounds, RUN_S)
        return Found(cost, added, stream, silent, runs, lists, compared, missing, running.upstream_name)


def _pairs(cost: dict[str, Any]) -> str:
    heads = ["gateway µs", "bare µs", "ratio", "shipper µs", "Postgres µs", "gateway calls/s"]
    rows = [
        [f"{pair['gateway_us']:.0f}", f"{pair['bare_us']:.0f}", f"{pair['ratio']:.3f}", f"{pair['shipper_us']:.1f}"]
        + [f"{pair['postgres_us']:.1f}", f"{pair['gateway_calls_per_s']:,.0f}"]
        for pair in cost["pairs"]
    ]
    return report.table(heads, rows)


def _body(size: Size, found: Found, figures: Sequence[floors.Figure]) -> str:
    cost = found.cost
    return "\n\n".join(
        [
            floors.table(figures),
            f"The ratio to bare: wrk with {cost['connections']} connections sends one tools/call, {size.pair_s:g} s "
            f"each way in turn, {size.pairs} pairs, medians; the upstream is {found.upstream}. The gateway is "
            "`manage.py serve --workers 1` with authentication, a list of allowed tools, a limit of requests a minute, "
            "the journal and the access log (to a file) on, behind Channels' router. The bare pass-through is "
            "`benchmarks/bare.py` under uvicorn (httptools, uvloop).",
            f"{cost['calls']:,} calls through the gateway, {cost['failed']} failed, {cost['rows']:,} rows in the "
            "request log (those that wrk left open at the end of a run are on record too).",
            _pairs(cost),
            *found.runs.tables(found.ways, size.kinds, size.connections),
            *([_PEERS] if any(way.slow for way in found.ways) else []),
            *found.missing.values(),
        ]
    )


def main() -> int:
    """Measure, print and write the table; exit code 1 when a floor is missed (--quick: when the guard is)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute and a half, no peers; writes no results")
    quick = parser.parse_args().quick
    if shutil.which("wrk") is None:
        sys.exit("The benchmark needs wrk (Debian: apt-get install wrk).")
    # A thousand streams are a thousand sockets here, and twice as many in what relays them.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    size = QUICK if quick else FULL
    about = machine.describe()
    found = measure(size, quick)
    figures = found.figures()
    body = _body(size, found, figures)
    print(body)
    if quick:
        broken = [figure.title for figure in figures if not figure.guarded]
        print(f"\nGuard (CPU ÷ bare ≤ {overhead.GUARD:g}, nothing lost or held back): {broken or 'holds'}")
        return 1 if broken else 0
    print(f"\nWritten: {report.write('bench', 'What a call costs', about, body, found.raw())}")
    line = f"{datetime.now(UTC):%Y-%m-%d}, {about['machine']}, wrk and the upstream on it too."
    print(f"Written: {chart.write(chart.draw(found.runs, found.ways, CALLS, floors.AT, line))}")
    return 1 if any(figure.held is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
