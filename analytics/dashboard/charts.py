"""Time series as a page shows them: what charts.js draws, a sentence that says the same, and a table of the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analytics.dashboard import formatting
from analytics.dashboard.look import Look
from analytics.dashboard.selection import minute_text
from analytics.queries import Point

# The axis of latencies reaches this many times above what most values (this share) stay below.
_MOST, _HEADROOM, _ENOUGH = 0.97, 1.4, 20


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart; `rows` of the table are the moment, a link to its requests (or none), and one text a column."""

    name: str
    title: str
    summary: str
    columns: tuple[str, ...]
    rows: list[tuple[str, str, str, list[str]]]
    drawing: dict[str, Any]

    @property
    def script_id(self) -> str:
        """The id of the element that holds the drawing's numbers."""
        return f"chart-{self.name}-data"


def calls_chart(look: Look, points: Sequence[Point], **filters: object) -> Chart:
    """Return the chart of requests by time, failures at the bottom of each bar."""
    fine = [point.measures.calls - point.measures.errors for point in points]
    errors = [point.measures.errors for point in points]
    drawing = _drawing(look, points, "calls") | {
        "series": [
            {"label": "Ended ok", "tone": "ok", "values": fine},
            {"label": "Errors", "tone": "error", "values": errors},
        ]
    }
    texts = [
        [formatting.count(a + b), formatting.count(a), formatting.count(b)] for a, b in zip(fine, errors, strict=True)
    ]
    return Chart(
        "calls",
        "Requests",
        _calls_summary(look, points),
        ("Requests", "Ended ok", "Errors"),
        _rows(look, points, texts, filters),
        drawing,
    )


def latency_chart(
    look: Look, points: Sequence[Point], before: Sequence[Point] | None = None, **filters: object
) -> Chart:
    """Return the chart of percentiles by time, optionally with the p95 of the period before in the same places."""
    series: list[dict[str, Any]] = [
        {"label": name, "tone": name, "values": [getattr(point.measures, f"{name}_ms") for point in points]}
        for name in ("p50", "p95", "p99")
    ]
    columns: tuple[str, ...] = ("p50", "p95", "p99")
    if before is not None:
        then: list[float | None] = [None] * max(len(points) - len(before), 0)
        then += [point.measures.p95_ms for point in before][-len(points) :]
        series.append({"label": "p95 before", "tone": "before", "values": then})
        columns = (*columns, "p95 before")
    texts = [[formatting.latency(row["values"][place]) for row in series] for place in range(len(points))]
    for row in series:
        row["values"] = [None if value is None else round(value, 3) for value in row["values"]]
    top, note = _top([row["values"] for row in series])
    drawing = _drawing(look, points, "latency") | {"series": series, "top": top}
    return Chart(
        "latency",
        "Latency",
        f"{_latency_summary(look, points)}{note}",
        columns,
        _rows(look, points, texts, filters),
        drawing,
    )


def _top(series: Sequence[Sequence[float | None]]) -> tuple[float | None, str]:
    """Return where the axis ends when a few values lie far above all others, and the sentence that says so.

    A single timeout of a minute would otherwise flatten everything that happens in milliseconds.
    """
    values = sorted(value for row in series for value in row if value is not None)
    if len(values) < _ENOUGH:
        return None, ""
    top = values[int(len(values) * _MOST)] * _HEADROOM
    beyond = [value for value in values if value > top]
    if not beyond or values[-1] < top * 2:
        return None, ""
    count, highest = len(beyond), formatting.latency(values[-1])
    lie = "value lies" if count == 1 else "values lie"
    return round(top, 3), f" The chart ends at {formatting.latency(top)}; {count} {lie} above it, up to {highest}."


def _drawing(look: Look, points: Sequence[Point], kind: str) -> dict[str, Any]:
    width = int(look.selection.bucket.total_seconds())
    times = [int(point.at.timestamp()) for point in points]
    is_filling = bool(times) and times[-1] + width > look.selection.until.timestamp()
    return {"kind": kind, "bucket": width, "times": times, "filling": is_filling}


def _rows(
    look: Look, points: Sequence[Point], texts: Sequence[list[str]], filters: dict[str, object]
) -> list[tuple[str, str, str, list[str]]]:
    """Return the lines of the table under a chart; one link is made and the times are put into it."""
    bucket = look.selection.bucket
    pattern = look.requests_url(**filters, **{"period": None, "from": "FROM", "to": "UNTIL"})
    rows = []
    for point, text in zip(points, texts, strict=True):
        url = ""
        if point.measures.calls:
            url = pattern.replace("FROM", _quoted(point.at)).replace("UNTIL", _quoted(point.at + bucket))
        rows.append((point.at.strftime("%Y-%m-%dT%H:%M:%SZ"), formatting.short_moment(point.at, bucket), url, text))
    return rows


def _quoted(at: datetime) -> str:
    return minute_text(at).replace(":", "%3A")


def _calls_summary(look: Look, points: Sequence[Point]) -> str:
    calls = sum(point.measures.calls for point in points)
    if not calls:
        return "No requests in this period."
    errors = sum(point.measures.errors for point in points)
    busiest = max(points, key=lambda point: point.measures.calls)
    failed = f"{formatting.count(errors)} of them errors ({formatting.share(errors, calls)})" if errors else "no errors"
    return (
        f"{formatting.count(calls)} requests, {failed}; busiest at {_when(look, busiest)}"
        f" with {formatting.count(busiest.measures.calls)}."
    )


def _latency_summary(look: Look, points: Sequence[Point]) -> str:
    known = [point for point in points if point.measures.p95_ms is not None]
    if not known:
        return "No requests in this period."
    fastest = min(known, key=lambda point: point.measures.p95_ms or 0)
    slowest = max(known, key=lambda point: point.measures.p95_ms or 0)
    if fastest is slowest:
        return f"p95 {formatting.latency(slowest.measures.p95_ms)} at {_when(look, slowest)}."
    return (
        f"p95 between {formatting.latency(fastest.measures.p95_ms)} ({_when(look, fastest)})"
        f" and {formatting.latency(slowest.measures.p95_ms)} ({_when(look, slowest)})."
    )


def _when(look: Look, point: Point) -> str:
    return formatting.short_moment(point.at, look.selection.bucket)
