"""`make bench`: what the gateway costs and adds, against a bare pass-through and against no gateway at all."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks import latency, machine, overhead, report, rig, streaming


@dataclass(frozen=True, slots=True)
class Size:
    """How long each part runs. Shorter runs scatter more; the number of pairs stays."""

    pair_s: float
    calls: int
    stream_s: float


FULL = Size(pair_s=8, calls=3000, stream_s=15)
QUICK = Size(pair_s=3, calls=500, stream_s=4)
PAIRS = 5


def _verdict(ok: bool) -> str:
    return "holds" if ok else "**missed**"


def _rows(cost: dict[str, Any], added: dict[str, Any], stream: dict[str, Any]) -> list[list[str]]:
    p50, direct, through = added["p50_ms"], stream["direct"], stream["gateway"]
    return [
        [
            f"CPU of the worker a call, gateway ÷ bare, c={cost['connections']}",
            f"{cost['ratio']:.2f} ({cost['gateway_us']:.0f} µs ÷ {cost['bare_us']:.0f} µs)",
            f"≤ {overhead.FLOOR}",
            _verdict(cost["ok"]),
        ],
        ["CPU of the shipper a call", f"{cost['shipper_us']:.1f} µs", "shown", ""],
        ["CPU of Postgres a call", f"{cost['postgres_us']:.1f} µs", "shown", ""],
        [
            "calls per second, one worker",
            f"{cost['gateway_calls_per_s']:,.0f} (bare {cost['bare_calls_per_s']:,.0f})",
            "shown",
            "",
        ],
        [
            "latency added at c=1, p50",
            f"{added['added_p50_ms']:.2f} ms ({p50['gateway']:.2f} − {p50['direct']:.2f})",
            f"≤ {latency.FLOOR_MS:g} ms",
            _verdict(added["ok"]),
        ],
        ["latency added by the bare pass-through, p50", f"{added['bare_added_p50_ms']:.2f} ms", "shown", ""],
        [
            f"streaming, {stream['streams']} streams × {stream['events_per_s']:g} events/s: latency added, p99",
            f"{stream['added_p99_ms']:.2f} ms ({through['p99_ms']:.2f} − {direct['p99_ms']:.2f})",
            f"≤ {streaming.FLOOR_MS:g} ms",
            _verdict(stream["ok"]),
        ],
        [
            "events still on their way when their successor was sent",
            f"{stream['held_back']} of {through['events']:,}",
            "0",
            _verdict(stream["held_back"] == 0),
        ],
    ]


def _body(size: Size, upstream: str, cost: dict[str, Any], rows: list[list[str]]) -> str:
    pairs = [
        [f"{pair['gateway_us']:.0f}", f"{pair['bare_us']:.0f}", f"{pair['ratio']:.3f}", f"{pair['shipper_us']:.1f}"]
        + [f"{pair['postgres_us']:.1f}", f"{pair['gateway_calls_per_s']:,.0f}"]
        for pair in cost["pairs"]
    ]
    return "\n\n".join(
        [
            report.table(["figure", "measured", "floor", ""], rows),
            f"Load: wrk with {cost['connections']} connections sends one tools/call, {size.pair_s:g} s each way in "
            f"turn, {PAIRS} pairs, medians; the upstream is {upstream}. The gateway is `manage.py serve --workers 1` "
            "with authentication, a list of allowed tools, a limit of requests a minute, the journal and the access "
            "log (to a file) on, behind Channels' router. The bare pass-through is `benchmarks/bare.py` under "
            "uvicorn (httptools, uvloop).",
            f"{cost['calls']:,} calls through the gateway, {cost['failed']} failed, {cost['rows']:,} rows in the "
            "request log (those that wrk left open at the end of a run are on record too).",
            report.table(
                ["gateway µs", "bare µs", "ratio", "shipper µs", "Postgres µs", "gateway calls/s"],
                pairs,
            ),
        ]
    )


def main() -> int:
    """Measure, print and write the table; exit code 1 when a floor is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute and a half; writes no results")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("The benchmark needs wrk (Debian: apt-get install wrk).")
    size = QUICK if options.quick else FULL
    about = machine.describe()
    with rig.running() as running:
        cost = overhead.measure(running, PAIRS, size.pair_s)
        added = latency.measure(running, size.calls)
        stream = streaming.measure(running, size.stream_s)
    body = _body(size, running.upstream_name, cost, _rows(cost, added, stream))
    print(body)
    if not options.quick:
        figures = {"overhead": cost, "latency": added, "streaming": stream}
        print(f"\nWritten: {report.write('bench', 'What a call costs', about, body, figures)}")
    return 0 if cost["ok"] and added["ok"] and stream["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
