"""Comparisons in words, and since when a latency is another."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from analytics.dashboard import changes
from analytics.queries import Measures, Point

START = datetime(2026, 11, 7, tzinfo=UTC)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (0, 0, "none before either"),
        (5, 0, "none before"),
        (100, 100, "about as many"),
        (112, 100, "12 % more"),
        (88, 100, "12 % fewer"),
        (310, 100, "3.1 × as many"),
    ],
)
def test_counts_are_neither_good_nor_bad(now: int, before: int, text: str) -> None:
    change = changes.of_count(now, before)
    assert (plain(change.text), change.verdict) == (text, "")


def test_errors_are_judged_by_their_share_and_beyond_chance() -> None:
    before = Measures(calls=1000, errors=40)
    assert changes.of_errors(Measures(calls=2000, errors=80), before).verdict == ""
    assert changes.of_errors(Measures(calls=1000, errors=45), before).verdict == ""
    assert changes.of_errors(Measures(calls=1000, errors=120), before).verdict == changes.WORSE
    assert changes.of_errors(Measures(calls=1000, errors=2), before).verdict == changes.BETTER
    assert changes.of_errors(Measures(calls=10, errors=1), Measures()).text == "no calls before"


def test_latencies_within_the_histograms_width_are_the_same() -> None:
    assert changes.of_latency(109, 100).verdict == ""
    assert changes.of_latency(130, 100).verdict == changes.WORSE
    assert changes.of_latency(70, 100).verdict == changes.BETTER


def series(levels: list[float], noise: float, outliers: int = 0) -> list[Point]:
    chance = random.Random(7)
    points = []
    for place, level in enumerate(levels):
        value = level * chance.lognormvariate(0, noise)
        calls = chance.choice([0, 1, 5, 40])
        measures = Measures(calls=calls, p95_ms=value) if calls else Measures()
        points.append(Point(START + place * timedelta(hours=1), measures))
    for place in chance.sample(range(len(points)), outliers):
        points[place] = Point(points[place].at, Measures(calls=1, p95_ms=60_000))
    return points


def test_a_shift_is_found_where_it_is_in_spite_of_timeouts() -> None:
    found = changes.find_shift(series([80] * 240 + [250] * 72, 0.4, outliers=6))
    assert found is not None
    assert abs(found.at - (START + timedelta(hours=240))) <= timedelta(hours=6)
    assert found.ratio == pytest.approx(250 / 80, rel=0.25)


def test_a_tool_that_became_faster_is_found_too() -> None:
    found = changes.find_shift(series([250] * 100 + [80] * 100, 0.3))
    assert found is not None and found.ratio < 0.5


@pytest.mark.parametrize("seed_levels", [[100.0] * 300, [100.0, 130.0] * 150, [100.0] * 5, []])
def test_noise_is_no_shift(seed_levels: list[float]) -> None:
    assert changes.find_shift(series(seed_levels, 0.5, outliers=min(len(seed_levels), 4))) is None


def test_equal_values_are_no_shift() -> None:
    points = [Point(START + place * timedelta(hours=1), Measures(calls=3, p95_ms=10.0)) for place in range(40)]
    assert changes.find_shift(points) is None
