"""What all limits of a call cost: admit and release, measured in processes that contend for one table.

Each process decides calls that have a limit of every kind, both algorithms among them, without a pause; a worker
under load decides one in a hundred of its microseconds. “Release” is what a call gives back at its end: rate limits
hold nothing, so it is the giving back of the verdict's headers and of the table's lock.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import machine
from proxy.limits.limit import Limit
from proxy.limits.table import LimitTable

PROCESSES, CALLS = 4, 20_000
KINDS = (
    Limit("key:1", "key", "alice #1", 10_000_000, 1_000_000),
    Limit("grant:1", "grant", "docs", 10_000_000, 1_000_000),
    Limit("rule:1:user:alice", "user", "alice", 100_000, window_s=1, sliding=True),
    Limit("rule:2", "namespace", "docs", 10_000_000, 1_000_000),
    Limit("rule:3", "tool", "docs/search", 100_000, window_s=1, sliding=True),
    Limit("rule:4", "global", "gateway", 10_000_000, 1_000_000),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of one decision over `limits` limits, of all processes together; `calls` a second."""

    processes: int
    limits: int
    median_us: float
    p99_us: float
    calls_per_s: float


def measure(processes: int = PROCESSES, limits: int = len(KINDS), calls: int = CALLS) -> Cost:
    """Run the processes and return what a decision cost."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "benchmarks.limit_cost", str(Path(directory, "table"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        children = [
            subprocess.Popen([*command, str(limits), str(calls)], cwd=machine.ROOT, text=True, **pipes)  # type: ignore[call-overload]
            for _ in range(processes)
        ]
        for child in children:
            assert child.stdout.readline() == "ready\n"
        begun = time.monotonic()
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        found = sorted(us for child in children for us in json.loads(child.stdout.readline()))
        elapsed = time.monotonic() - begun
        for child in children:
            child.communicate()
    return Cost(processes, limits, statistics.median(found), found[len(found) * 99 // 100], processes * calls / elapsed)


def _contend(path: Path, limits: tuple[Limit, ...], calls: int) -> list[float]:
    """Decide `calls` calls and return the microseconds of each."""
    table, clock, found = LimitTable(path), time.perf_counter_ns, []
    table.admit(limits)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(calls):
        begun = clock()
        table.admit(limits).headers()
        found.append((clock() - begun) / 1000)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_contend(Path(sys.argv[1]), KINDS[: int(sys.argv[2])], int(sys.argv[3]))), flush=True)
    else:
        print(json.dumps([asdict(measure(count)) for count in (1, PROCESSES)], indent=1))
