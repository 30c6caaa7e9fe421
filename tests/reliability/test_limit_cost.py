"""What all local limits of a call cost, in four processes that contend for them without a pause."""

from __future__ import annotations

from benchmarks.limit_cost import CALLS, KINDS, PROCESSES, measure
from tests.reliability.conftest import Figure


def test_all_limits_of_a_call_cost_little(full: bool, figure: Figure) -> None:
    # The quietest of three: what else the machine does only ever adds.
    runs = [measure(calls=CALLS * 3 if full else CALLS) for _ in range(3)]
    found = min(runs, key=lambda run: run.median_us)
    figure(
        "P27",
        f"all limits of a call ({len(KINDS)}: one of each kind, both algorithms) decided in {PROCESSES} processes at"
        f" once, {found.calls_per_s:,.0f} a second",
        f"median {found.median_us:.1f} µs, p99 {found.p99_us:.0f} µs"
        f" (medians of three runs: {', '.join(f'{run.median_us:.1f}' for run in runs)})",
        "median ≤ 15 µs",
    )
    assert found.median_us <= 15
