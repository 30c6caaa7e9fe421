"""What the benchmark is judged by: each figure, what was measured, the floor it has to keep, whether it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import idle, latency, overhead, peers, report, streaming, ways
from benchmarks.loads import EVENTS, LIST, SMALL, STREAM, TOOLS, WHOLE_LIST
from benchmarks.matrix import Matrix

# Where throughput and CPU of the ways are compared.
AT = 32
NGINX_SHARE = 0.20
TIMES_A_PEER = {peers.CONTEXTFORGE: 300, peers.FASTMCP: 200}
FILTERED_TIMES, FILTERED_GUARD = 2.0, 3.0
EVENT_US = 15.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: `held` is None for what is only shown; `guarded` says whether it may pass on a busy machine too."""

    title: str
    measured: str
    floor: str = "shown"
    held: bool | None = None
    guarded: bool = True

    def row(self) -> list[str]:
        """Return it as a table's row; a missed floor stands out."""
        verdict = {None: "", True: "holds", False: "**missed**"}[self.held]
        return [self.title, self.measured, self.floor, verdict]


def table(figures: Sequence[Figure]) -> str:
    """Return all of them as a table."""
    return report.table(["figure", "measured", "floor", ""], [figure.row() for figure in figures])


def of_cost(cost: dict[str, Any]) -> list[Figure]:
    """CPU a call, against the bare pass-through and in the processes beside the worker."""
    return [
        Figure(
            f"CPU of the worker a call, gateway ÷ bare, c={cost['connections']}",
            f"{cost['ratio']:.2f} ({cost['gateway_us']:.0f} µs ÷ {cost['bare_us']:.0f} µs)",
            f"≤ {overhead.FLOOR:.2f}",
            cost["ok"],
            cost["guarded"],
        ),
        Figure(
            "calls that failed · answered calls without a row in the log",
            f"{cost['failed']} · {max(0, cost['calls'] - cost['complete_rows']):,}",
            "0 · 0",
            cost["complete"],
            cost["complete"],
        ),
        Figure("CPU of the shipper a call", f"{cost['shipper_us']:.1f} µs"),
        Figure("CPU of Postgres a call", f"{cost['postgres_us']:.1f} µs"),
        Figure(
            "calls per second, one worker",
            f"{cost['gateway_calls_per_s']:,.0f} (bare {cost['bare_calls_per_s']:,.0f})",
        ),
    ]


def of_time(added: dict[str, Any], stream: dict[str, Any]) -> list[Figure]:
    """What is added to a call's time and to an event's; only what holds events back is guarded, no clock is."""
    p50, direct, through = added["p50_ms"], stream["direct"], stream["gateway"]
    kept = stream["held_back"] == 0
    return [
        Figure(
            "latency added at c=1, p50",
            f"{added['added_p50_ms']:.2f} ms ({p50['gateway']:.2f} − {p50['direct']:.2f})",
            f"≤ {latency.FLOOR_MS:g} ms",
            added["ok"],
        ),
        Figure("latency added by the bare pass-through, p50", f"{added['bare_added_p50_ms']:.2f} ms"),
        Figure(
            f"streaming, {stream['streams']} streams × {stream['events_per_s']:g} events/s: latency added, p99",
            f"{stream['added_p99_ms']:.2f} ms ({through['p99_ms']:.2f} − {direct['p99_ms']:.2f})",
            f"≤ {streaming.FLOOR_MS:g} ms",
            stream["added_p99_ms"] <= streaming.FLOOR_MS,
        ),
        Figure(
            "events still on their way when their successor was sent",
            f"{stream['held_back']} of {through['events']:,}",
            "0",
            kept,
            kept,
        ),
    ]


def of_throughput(matrix: Matrix, titles: dict[str, str]) -> list[Figure]:
    """Calls per second against nginx and against each peer.

    Args: titles: of the ways that ran, by their names; what did not run is not judged.
    """
    own = matrix.cell(ways.GATEWAY, SMALL, AT)
    found = []
    for name, floor in {ways.NGINX: NGINX_SHARE, **TIMES_A_PEER}.items():
        other = matrix.cell(name, SMALL, AT)
        if own is None or other is None:
            continue
        times = own.calls_per_s / other.calls_per_s
        digits = 2 if floor < 1 else 0
        found.append(
            Figure(
                f"throughput ÷ {titles[name]}, one worker each, c={AT}",
                f"{times:.{digits}f} ({own.calls_per_s:,.0f} ÷ {other.calls_per_s:,.{2 - digits}f} calls/s)",
                f"≥ {floor:.{digits}f}",
                times >= floor,
            )
        )
    return found


def of_kinds(matrix: Matrix, lists: Matrix, silent: dict[str, Any]) -> list[Figure]:
    """A filtered list against a whole one, an event's CPU, a silent stream's memory."""
    filtered, whole = lists.cell(ways.GATEWAY, LIST, AT), lists.cell(ways.GATEWAY, WHOLE_LIST, AT)
    events, small = matrix.cell(ways.GATEWAY, STREAM, AT), matrix.cell(ways.GATEWAY, SMALL, AT)
    assert filtered and whole and events and small, "the gateway answered none of these calls"
    times, event_us = filtered.cpu_us / whole.cpu_us, events.cpu_us / EVENTS
    each = silent["kib_each"]
    others = ", ".join(f"{name} {kib:.1f}" for name, kib in each.items() if name != ways.GATEWAY)
    return [
        Figure(
            f"tools/list of {TOOLS} tools: CPU filtered ÷ CPU of passing all of them",
            f"{times:.2f} ({filtered.cpu_us / 1000:.2f} ms ÷ {whole.cpu_us / 1000:.2f} ms)",
            f"≤ {FILTERED_TIMES:g}",
            times <= FILTERED_TIMES,
            times <= FILTERED_GUARD,
        ),
        Figure(
            f"SSE: CPU a relayed event, its share of the call included ({EVENTS} events a call)",
            f"{event_us:.1f} µs ({(events.cpu_us - small.cpu_us) / EVENTS:.1f} beyond a small call)",
            f"≤ {EVENT_US:g} µs",
            event_us <= EVENT_US,
        ),
        Figure(
            f"memory of a silent stream, both sides, over {silent['streams']:,} of them",
            f"{each[ways.GATEWAY]:.1f} KiB" + (f" ({others})" if others else ""),
            f"≤ {idle.FLOOR_KIB:g} KiB",
            silent["ok"],
        ),
    ]
