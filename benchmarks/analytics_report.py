"""What a run of the analytics benchmark found, as tables for people and figures for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import analytics_run, ingest, pages, report, statements
from benchmarks.analytics_run import Findings
from benchmarks.pages import ALWAYS, Case

TITLE = "Analytics on a full log: pages, REST, ingest"


def body(findings: Findings) -> str:
    """Return everything as Markdown."""
    parts = [_summary(findings), _sizes(findings)]
    if findings.cases:
        parts += ["## Pages and REST answers", _asking(findings), _pages(findings)]
    if findings.stretches:
        parts += ["## Ingest while dashboards are read", _loading(findings), _stretches(findings)]
    return "\n\n".join(parts)


def write(findings: Findings, about: dict[str, str]) -> Path:
    """Write the tables and all figures to results/ and return the first file."""
    return report.write("analytics", TITLE, about, body(findings), _figures(findings))


def _verdict(ok: bool) -> str:
    return "holds" if ok else "**missed**"


def _summary(findings: Findings) -> str:
    rows: list[list[str]] = []
    if findings.cases:
        slowest, most = findings.slowest, findings.most_statements
        asked = sum(len(case.took_ms) for case in findings.cases)
        rows += [
            [
                "slowest page or REST answer, p95",
                f"{slowest.p95_ms:.0f} ms: {slowest.variant.title}, {slowest.period}, {slowest.person.role}",
                f"≤ {pages.FLOOR_MS:.0f} ms",
                _verdict(slowest.p95_ms <= pages.FLOOR_MS),
            ],
            ["most SQL statements of one", str(most), f"≤ {statements.FLOOR}", _verdict(most <= statements.FLOOR)],
            [
                "answers other than 200 (207 of health)",
                f"{findings.strange} of {asked:,}",
                "0",
                _verdict(not findings.strange),
            ],
        ]
    if findings.stretches:
        rows += _ingest_summary(findings)
    return report.table(["figure", "measured", "floor", ""], rows)


def _ingest_summary(findings: Findings) -> list[list[str]]:
    found = findings.stretches.values()
    lost, doubled = sum(stretch.lost for stretch in found), sum(stretch.doubled for stretch in found)
    total = sum(stretch.written + len(stretch.calls.answered) for stretch in found)
    failed = sum(sum(stretch.calls.failed.values()) for stretch in found)
    alone, both = findings.stretches["calls alone"], findings.stretches["with both"]
    return [
        ["rows lost, doubled", f"{lost}, {doubled} of {total:,}", "0, 0", _verdict(not lost and not doubled)],
        ["calls that failed", f"{failed}", "0", _verdict(not failed)],
        [
            "roll-ups behind the clock, at most",
            f"{findings.lag_s:.1f} s",
            f"≤ {ingest.LAG_FLOOR_S:g} s",
            _verdict(findings.lag_s <= ingest.LAG_FLOOR_S),
        ],
        [
            "p99 of the calls, added by generator and readers",
            f"{findings.added_p99_ms:.1f} ms ({both.call_ms(99):.1f} − {alone.call_ms(99):.1f})",
            f"≤ {ingest.P99_FLOOR_MS:g} ms",
            _verdict(findings.added_p99_ms <= ingest.P99_FLOOR_MS),
        ],
    ]


def _sizes(findings: Findings) -> str:
    heads = ["table", "rows", "table", "indexes", "together"]
    rows = [
        [title, f"{size.rows:,}", *map(_mib, (size.table_bytes, size.index_bytes, size.total_bytes))]
        for title, size in findings.sizes.items()
    ]
    took = f", filled in {findings.log.seeding_s:.0f} s" if findings.log.seeding_s else ""
    return f"{findings.log.rows:,} rows at the start{took}.\n\n{report.table(heads, rows)}"


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"


def _asking(findings: Findings) -> str:
    samples = len(findings.cases[0].took_ms)
    return (
        f"Asked one at a time over kept connections, signed in as {analytics_run.roles()}; {samples} answers for each "
        "of them, page and period, in rounds, the first of which does not count. The names in an address are drawn "
        "anew each time, half the time by their number of calls, half the time any alike. Shown is p95 (p50) in "
        "milliseconds of the slowest of the three people. Statements are the most that any of them needed, "
        "transactions' own commands among them; Python is the CPU time in ms that the most laborious answer took."
    )


def _pages(findings: Findings) -> str:
    periods = list(dict.fromkeys(case.period for case in findings.cases if case.period != ALWAYS))
    rows = []
    for title, cases in analytics_run.by_title(findings.cases).items():
        times = [_cell([case for case in cases if case.period in (period, ALWAYS)]) for period in periods]
        most, need = max(max(case.took_ms) for case in cases), findings.needs[title]
        rows.append([title, *times, f"{most:.0f}", f"{need.python_ms:.0f}", str(need.statements)])
    return report.table(["page or answer", *periods, "longest", "Python", "statements"], rows)


def _cell(cases: Sequence[Case]) -> str:
    worst = max(cases, key=lambda case: case.p95_ms)
    text = f"{worst.p95_ms:.0f} ({worst.p50_ms:.0f})"
    return text if worst.p95_ms <= pages.FLOOR_MS else f"**{text}**"


def _loading(findings: Findings) -> str:
    return (
        f"{ingest.CALLS_PER_S} small tools/call a second, timed from when each was due; a generator that writes "
        f"{ingest.ROWS_PER_S:,} rows a second into the journal directory; {len(ingest.READERS)} readers who open a "
        f"page every {ingest.READ_EVERY_S:g} s. One worker. CPU is the share of one core; all runs on one machine."
    )


def _stretches(findings: Findings) -> str:
    heads = ["", *findings.stretches]
    found = list(findings.stretches.values())
    rows = [
        ["calls answered", *(f"{len(stretch.calls.answered):,}" for stretch in found)],
        ["calls p50, p99, ms", *(f"{stretch.call_ms(50):.1f}, {stretch.call_ms(99):.1f}" for stretch in found)],
        ["calls longest, ms", *(f"{max(stretch.calls.took_s) * 1000:.0f}" for stretch in found)],
        ["rows of the generator", *(f"{stretch.written:,}" for stretch in found)],
        ["lost, doubled", *(f"{stretch.lost}, {stretch.doubled}" for stretch in found)],
        ["roll-ups' lag p50, longest, s", *(_lag(stretch.lags_s) for stretch in found)],
        ["pages opened, p50, longest, ms", *(_page_times(stretch.pages_ms) for stretch in found)],
    ]
    for process in found[-1].cpu:
        rows.append([f"CPU of {process}", *(f"{100 * stretch.cpu.get(process, 0):.0f} %" for stretch in found)])
    return report.table(heads, rows)


def _lag(lags_s: Sequence[float]) -> str:
    return f"{sorted(lags_s)[len(lags_s) // 2]:.1f}, {max(lags_s):.1f}" if lags_s else "–"


def _page_times(times_ms: Sequence[float]) -> str:
    if not times_ms:
        return "–"
    return f"{len(times_ms)}, {sorted(times_ms)[len(times_ms) // 2]:.0f}, {max(times_ms):.0f}"


def _figures(findings: Findings) -> dict[str, Any]:
    stretches = {
        title: {
            "call_p50_ms": stretch.call_ms(50),
            "call_p99_ms": stretch.call_ms(99),
            "calls": len(stretch.calls.answered),
            "failed": stretch.calls.failed,
            "written": stretch.written,
            "lost": stretch.lost,
            "doubled": stretch.doubled,
            "lags_s": stretch.lags_s,
            "pages_ms": stretch.pages_ms,
            "cpu": stretch.cpu,
        }
        for title, stretch in findings.stretches.items()
    }
    asked = [
        {
            "page": case.variant.title,
            "period": case.period,
            "role": case.person.role,
            "p50_ms": case.p50_ms,
            "p95_ms": case.p95_ms,
            "max_ms": max(case.took_ms),
            "samples": len(case.took_ms),
            "slowest": case.slowest,
            "other_than_200": dict(case.strange),
        }
        for case in findings.cases
    ]
    return {
        "rows": findings.log.rows,
        "seeding_s": findings.log.seeding_s,
        "sizes": {title: asdict(size) for title, size in findings.sizes.items()},
        "pages": asked,
        "needs": {title: asdict(need) for title, need in findings.needs.items()},
        "ingest": stretches,
        "ok": findings.ok,
    }
