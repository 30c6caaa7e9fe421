"""What became better or worse: a value beside that of the period before, and since when a latency is another. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from analytics.dashboard import formatting
from analytics.queries import Measures, Point

# Percentiles come from histograms whose bins are a tenth apart: less is no difference.
SAME_LATENCY = 1.11
SAME_COUNT = 0.01

BETTER, WORSE = "better", "worse"


@dataclass(frozen=True, slots=True)
class Change:
    """A comparison in words; `verdict` is better, worse, or empty where neither is meant."""

    text: str
    verdict: str = ""


def of_count(now: int, before: int, what: str = "") -> Change:
    """Compare two numbers that are neither good nor bad by themselves."""
    if not before:
        return Change("none before" if now else "none before either")
    ratio = now / before
    if abs(ratio - 1) < SAME_COUNT:
        return Change("about as many")
    if ratio >= 2:
        return Change(f"{formatting.times(ratio)} as many")
    return Change(f"{formatting.percent(abs(ratio - 1))} {'more' if ratio > 1 else 'fewer'}")


def of_amount(now: int, before: int) -> Change:
    """Compare two amounts, such as bytes."""
    change = of_count(now, before)
    return Change(change.text.replace("as many", "as much").replace("fewer", "less"))


def of_errors(now: Measures, before: Measures) -> Change:
    """Compare the shares of calls that failed: more calls alone are no reason for more trouble."""
    if not before.calls:
        return Change("no calls before")
    was = f"{formatting.percent(before.error_rate)} before"
    if not now.calls or _alike(now, before):
        return Change(was)
    return Change(was, WORSE if now.error_rate > before.error_rate else BETTER)


def _alike(now: Measures, before: Measures) -> bool:
    """Return whether the shares differ by no more than chance does (two standard errors)."""
    together = (now.errors + before.errors) / (now.calls + before.calls)
    spread = math.sqrt(together * (1 - together) * (1 / now.calls + 1 / before.calls))
    return abs(now.error_rate - before.error_rate) <= 2 * spread


def of_latency(now_ms: float | None, before_ms: float | None) -> Change:
    """Compare two latencies."""
    if now_ms is None or not before_ms:
        return Change("no calls before" if now_ms is not None else "")
    ratio = now_ms / before_ms
    was = f"{formatting.latency(before_ms)} before"
    if 1 / SAME_LATENCY < ratio < SAME_LATENCY:
        return Change(f"about the same, {was}")
    return Change(was, WORSE if ratio > 1 else BETTER)


@dataclass(frozen=True, slots=True)
class Shift:
    """The moment from which on a latency is another, and what it was typically before and after (milliseconds)."""

    at: datetime
    before_ms: float
    after_ms: float

    @property
    def ratio(self) -> float:
        """How many times the latency before the one after is."""
        return self.after_ms / self.before_ms


SHIFT_RATIO = 1.5
_FEWEST_BUCKETS = 3
# How much better two levels must explain the values than one does (an F statistic): far more than chance allows.
_EVIDENCE = 40
_TAIL = 20  # one in so many values at either end is brought in: a single timeout is no level


def find_shift(points: Sequence[Point]) -> Shift | None:
    """Return when the p95 of a time series went to another level for good, or None when it did not.

    The border between two levels is put where their squared distances, on a logarithmic scale and weighted by calls,
    add up to the least (one step of binary segmentation). It counts when the levels differ by SHIFT_RATIO and when
    that is no accident.
    """
    rows = _rows(points)
    if len(rows) < 2 * _FEWEST_BUCKETS:
        return None
    total, total_sum, total_square = _sums(rows)
    whole = total_square - total_sum**2 / total
    left = left_sum = 0.0
    best, border = math.inf, 0
    for place, (_, value, weight) in enumerate(rows[:-_FEWEST_BUCKETS], start=1):
        left, left_sum = left + weight, left_sum + weight * value
        rest = total_square - left_sum**2 / left - (total_sum - left_sum) ** 2 / (total - left)
        if place >= _FEWEST_BUCKETS and rest < best:
            best, border = rest, place
    before, after = _level(rows[:border]), _level(rows[border:])
    spread = max(best, 1e-9) / (len(rows) - 2)
    if abs(after - before) < math.log(SHIFT_RATIO) or (whole - best) / spread < _EVIDENCE:
        return None
    return Shift(rows[border][0], math.exp(before), math.exp(after))


def _rows(points: Sequence[Point]) -> list[tuple[datetime, float, float]]:
    """Return moment, logarithm of the p95 and weight of each bucket with calls, the extremes brought in."""
    rows = [(point.at, math.log(point.measures.p95_ms), _weight(point)) for point in points if point.measures.p95_ms]
    values = sorted(value for _, value, _ in rows)
    if not values:
        return []
    tail = len(values) // _TAIL
    low, high = values[tail], values[-1 - tail]
    return [(at, min(max(value, low), high), weight) for at, value, weight in rows]


def _weight(point: Point) -> float:
    return math.sqrt(point.measures.calls)


def _sums(rows: Sequence[tuple[datetime, float, float]]) -> tuple[float, float, float]:
    return (
        sum(weight for _, _, weight in rows),
        sum(weight * value for _, value, weight in rows),
        sum(weight * value * value for _, value, weight in rows),
    )


def _level(rows: Sequence[tuple[datetime, float, float]]) -> float:
    total, weighted, _ = _sums(rows)
    return weighted / total
