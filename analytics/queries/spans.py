"""Which table answers for which part of a period: whole days and hours rolled up, the last seconds raw. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from analytics.queries.reading import Reading, ceil, floor
from analytics.rollup_cuts import GRAINS

RAW, TRAIL = "raw", "trail"


@dataclass(frozen=True, slots=True)
class Span:
    """The part [since, until) of a period, and what answers for it: minutes, hours, days, one trail, or the log."""

    grain: str
    since: datetime
    until: datetime


def spans(
    reading: Reading,
    since: datetime,
    until: datetime,
    grains: Collection[str],
    trails: Collection[tuple[datetime, datetime]] = (),
) -> list[Span]:
    """Split [since, until) so that every call is in exactly one part, in the coarsest grain that fits.

    Args: since: aligned by `reading.align`; grains: those that the cut is kept at and that nest in the buckets asked
    for; trails: the cut's, where no buckets are asked for. What no grain answers for is read from the log itself.
    """
    rolled_to = reading.rolled_to
    if rolled_to is None or until <= since:
        return [Span(RAW, since, until)] if since < until else []
    middle = min(max(rolled_to, since), until)
    found = list(_rolled(reading, since, middle, grains))
    if middle < until:
        found.append(Span(RAW, middle, until))
    return list(_shortened(_joined(found), trails))


def _rolled(reading: Reading, since: datetime, until: datetime, grains: Collection[str]) -> Iterator[Span]:
    """Split a part that the roll-ups cover: a coarse middle, finer edges."""
    if since >= until:
        return
    # The minute that `until` cuts counts as a whole: either it is the one being filled, or the caller rounded.
    until = until if until == reading.rolled_to else min(ceil(until, GRAINS["minute"]), reading.rolled_to or until)
    yield from _split(reading, since, until, [grain for grain in ("day", "hour", "minute") if grain in grains])


def _split(reading: Reading, since: datetime, until: datetime, grains: list[str]) -> Iterator[Span]:
    if since >= until:
        return
    if not grains:
        yield Span(RAW, since, until)
        return
    grain, finer = grains[0], grains[1:]
    step = GRAINS[grain]
    if grain == "minute":
        yield from _minutes(reading, since, until)
        return
    first, last = ceil(since, step), floor(until, step)
    first = max(first, ceil(_from(reading, grain) or first, step))
    if first >= last:
        yield from _split(reading, since, until, finer)
        return
    yield from _split(reading, since, first, finer)
    for begin, end, is_stale in _runs(reading, first, last, step if grain == "day" else None):
        if is_stale:
            yield from _split(reading, begin, end, finer)
        else:
            yield Span(grain, begin, end)
    yield from _split(reading, last, until, finer)


def _minutes(reading: Reading, since: datetime, until: datetime) -> Iterator[Span]:
    first = max(since, _from(reading, "minute") or until)
    if since < first:
        yield Span(RAW, since, min(first, until))
    if first < until:
        yield Span("minute", first, until)


def _from(reading: Reading, grain: str) -> datetime | None:
    return {"minute": reading.minutes_from, "hour": reading.hours_from, "day": reading.days_from}[grain]


def _runs(
    reading: Reading, first: datetime, last: datetime, day: timedelta | None
) -> Iterator[tuple[datetime, datetime, bool]]:
    """Cut [first, last) around the days whose sums are stale."""
    at = first
    for stale in sorted(reading.stale_days) if day else ():
        if not first <= stale < last:
            continue
        if at < stale:
            yield at, stale, False
        at = stale + day  # type: ignore[operator]
        yield stale, at, True
    if at < last:
        yield at, last, False


def _joined(found: list[Span]) -> list[Span]:
    """Join neighbours of one grain."""
    joined: list[Span] = []
    for span in found:
        if joined and joined[-1].grain == span.grain and joined[-1].until == span.since:
            joined[-1] = Span(span.grain, joined[-1].since, span.until)
        else:
            joined.append(span)
    return joined


def _shortened(found: list[Span], trails: Collection[tuple[datetime, datetime]]) -> Iterator[Span]:
    """Put the longest trail that fits in the place of a run of days."""
    for span in found:
        fitting = [
            trail for trail in trails if span.grain == "day" and trail[0] >= span.since and trail[1] <= span.until
        ]
        if not fitting:
            yield span
            continue
        begin, end = max(fitting, key=lambda trail: trail[1] - trail[0])
        if span.since < begin:
            yield Span("day", span.since, begin)
        yield Span(TRAIL, begin, end)
        if end < span.until:
            yield Span("day", end, span.until)
