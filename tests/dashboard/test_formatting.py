"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.dashboard import formatting


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.42, "0.42 ms"),
        (8.4, "8.4 ms"),
        (8.412, "8.41 ms"),
        (9.996, "10 ms"),
        (42.04, "42 ms"),
        (239.7, "240 ms"),
        (999.4, "999 ms"),
        (999.6, "1 s"),
        (1200, "1.2 s"),
        (57_640, "57.6 s"),
        (119_600, "2 min 0 s"),
        (3_600_000 * 3.35, "3 h 21 min"),
    ],
)
def test_latencies_have_three_digits_and_a_unit(milliseconds: float | None, text: str) -> None:
    assert plain(formatting.latency(milliseconds)) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1536, "1.54 kB"), (999_999, "1 MB"), (73_200_000, "73.2 MB")],
)
def test_sizes_are_decimal(number: int, text: str) -> None:
    assert plain(formatting.size(number)) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "–"),
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 3, "33 %"),
        (42, 1000, "4.2 %"),
        (1, 100_000, "< 0.01 %"),
        (9999, 10_000, "> 99 %"),
        (3, 1000, "0.30 %"),
    ],
)
def test_shares_never_round_to_nothing_or_all(part: int, whole: int, text: str) -> None:
    assert plain(formatting.share(part, whole)) == text


def test_counts_have_their_thousands_apart() -> None:
    assert formatting.count(1_234_567) == "1,234,567"
    assert formatting.count(None) == "–"


def test_short_durations_are_told_in_microseconds() -> None:
    assert plain(formatting.microseconds(85)) == "85 µs"
    assert plain(formatting.microseconds(135)) == "0.135 ms"


@pytest.mark.parametrize(
    ("length", "text"),
    [(timedelta(minutes=1), "1 minute"), (timedelta(hours=24), "24 hours"), (timedelta(days=7), "7 days")],
)
def test_spans_are_told_in_words(length: timedelta, text: str) -> None:
    assert plain(formatting.span(length)) == text


def test_moments_are_utc_and_as_short_as_the_bucket_allows() -> None:
    at = datetime(2026, 11, 5, 9, 5, tzinfo=UTC)
    assert plain(formatting.short_moment(at, timedelta(minutes=5))) == "5 Nov 09:05"
    assert plain(formatting.short_moment(at, timedelta(days=1))) == "5 Nov"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("search_code", "search_code"),
        ("données", "données"),
        ("a\r\nb", "a␍␊b"),
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("\u200bx", "⟨U+200B⟩x"),
        ("\x7f", "⟨U+007F⟩"),
        ("<script>", "<script>"),
    ],
)
def test_names_show_what_cannot_be_seen(name: str, text: str) -> None:
    assert formatting.shown(name) == text
