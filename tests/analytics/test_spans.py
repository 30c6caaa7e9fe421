"""How a period is split between the roll-ups' grains and the log: every moment once, each from where it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from analytics.queries.reading import Reading, ceil, floor
from analytics.queries.spans import RAW, TRAIL, Span, spans
from analytics.rollup_cuts import CALLERS, GRAINS, USER_TOOLS

NOW = datetime(2026, 11, 21, 14, 37, 12, 345678, UTC)
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
ALL = ("minute", "hour", "day")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{text}+00:00")


def look(**state: object) -> Reading:
    known = {
        "rolled_to": floor(NOW, SECOND) - SECOND,
        "minutes_from": at("19T00:00"),
        "hours_from": datetime(2026, 8, 24, tzinfo=UTC),
        "days_from": datetime(2024, 1, 1, tzinfo=UTC),
    }
    return Reading(NOW, **(known | state))  # type: ignore[arg-type]


def test_a_day_is_its_hours_with_minutes_at_the_edges_and_the_last_seconds_raw() -> None:
    reading = look()
    assert spans(reading, at("20T14:37"), NOW, ALL) == [
        Span("minute", at("20T14:37"), at("20T15:00")),
        Span("hour", at("20T15:00"), at("21T14:00")),
        Span("minute", at("21T14:00"), at("21T14:37:11")),
        Span(RAW, at("21T14:37:11"), NOW),
    ]


def test_a_month_is_its_days_with_hours_at_the_edges() -> None:
    reading = look()
    since = reading.align(NOW - timedelta(days=10))
    assert since == at("11T14:00")  # minutes of that day are no longer kept
    assert [span.grain for span in spans(reading, since, NOW, ALL)] == ["hour", "day", "hour", "minute", RAW]


def test_a_stale_day_is_read_from_its_hours() -> None:
    reading = look(stale_days=frozenset({at("15T00:00")}))
    assert spans(reading, at("14T00:00"), at("17T00:00"), ALL) == [
        Span("day", at("14T00:00"), at("15T00:00")),
        Span("hour", at("15T00:00"), at("16T00:00")),
        Span("day", at("16T00:00"), at("17T00:00")),
    ]


def test_without_roll_ups_everything_is_raw() -> None:
    assert spans(Reading(NOW), at("01T00:00"), NOW, ALL) == [Span(RAW, at("01T00:00"), NOW)]


def test_a_cut_that_is_kept_by_day_reads_the_rest_from_the_log() -> None:
    found = spans(look(), at("18T12:00"), NOW, ("day",))
    assert [span.grain for span in found] == [RAW, "day", RAW]
    assert found[1] == Span("day", at("19T00:00"), at("21T00:00"))


def test_a_keeper_that_fell_behind_leaves_more_to_the_log() -> None:
    found = spans(look(rolled_to=at("21T09:30")), at("21T00:00"), NOW, ALL)
    assert found[-1] == Span(RAW, at("21T09:30"), NOW)
    assert found[0] == Span("hour", at("21T00:00"), at("21T09:00"))


def test_the_longest_trail_that_fits_stands_for_its_days() -> None:
    trails = [(at("15T00:00"), at("21T00:00")), (at("12T00:00"), at("21T00:00")), (at("01T00:00"), at("21T00:00"))]
    assert spans(look(), at("11T00:00"), at("21T00:00"), ALL, trails) == [
        Span("day", at("11T00:00"), at("12T00:00")),
        Span(TRAIL, at("12T00:00"), at("21T00:00")),
    ]
    broken = look(stale_days=frozenset({at("13T00:00")}))
    assert [span.grain for span in spans(broken, at("11T00:00"), at("21T00:00"), ALL, trails)] == [
        "day",
        "hour",
        "day",
        TRAIL,
    ]


def test_a_cut_whose_hours_are_kept_briefly_is_asked_for_whole_days() -> None:
    kept = look().for_cut(USER_TOOLS)
    since = kept.align(at("15T14:00"))
    assert since == at("15T00:00")
    assert [span.grain for span in spans(kept, since, NOW, USER_TOOLS.grains)] == ["day", "hour", RAW]
    assert kept.align(at("20T14:37")) == at("20T14:37")
    assert look().for_cut(CALLERS) == look()


@given(
    since_s=st.integers(0, 40 * 86400),
    length_s=st.integers(1, 40 * 86400),
    behind_s=st.integers(0, 3 * 86400),
    minutes_days=st.integers(0, 5),
    hours_days=st.integers(1, 60),
    stale=st.sets(st.integers(0, 40), max_size=4),
    grains=st.sampled_from([ALL, ("hour", "day"), ("minute", "hour"), ("minute",), ("day",), ()]),
)
def test_the_parts_follow_each_other_without_gap_or_overlap(
    since_s: int, length_s: int, behind_s: int, minutes_days: int, hours_days: int, stale: set[int], grains: tuple[str]
) -> None:
    today = floor(NOW, DAY)
    reading = look(
        rolled_to=floor(NOW, SECOND) - timedelta(seconds=behind_s),
        minutes_from=today - minutes_days * DAY,
        hours_from=today - hours_days * DAY,
        stale_days=frozenset(today - day * DAY for day in stale),
    )
    assert reading.rolled_to is not None
    since = reading.align(NOW - timedelta(seconds=since_s))
    until = min(NOW, since + timedelta(seconds=length_s))
    found = spans(reading, since, until, grains)
    moment = since
    for span in found:
        assert span.since == moment and span.until > span.since
        moment = span.until
        if span.grain == RAW:
            continue
        step = GRAINS[span.grain]
        assert span.grain in grains and span.until <= reading.rolled_to
        assert span.since == floor(span.since, step)
        assert span.until == floor(span.until, step) or span.until == reading.rolled_to
        if span.grain == "day":
            assert not any(span.since <= day < span.until for day in reading.stale_days)
        kept_from = {"minute": reading.minutes_from, "hour": reading.hours_from, "day": reading.days_from}[span.grain]
        assert kept_from is not None and span.since >= kept_from
    # An end within a rolled-up minute is carried to the minute's end at most.
    assert until <= moment <= max(until, min(ceil(until, MINUTE), reading.rolled_to))
