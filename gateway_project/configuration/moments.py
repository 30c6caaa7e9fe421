"""Durations (`30d`, `1m30s`) and points in time (`2027-01-31`, `2027-01-31T12:00+01:00`) as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PIECE = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d|w)")
_DURATION = re.compile(rf"(?:{_PIECE.pattern})+")


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for: numbers with ms, s, m, h, d or w, one after another.

    Raises ValueError when `text` is anything else.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError("a duration is a number with a unit, such as 500ms, 30s, 12h or 30d")
    return sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(text))


def parse_moment(text: str) -> datetime:
    """Return an ISO 8601 date or time as an aware datetime in UTC; without a zone it is taken as UTC.

    Raises ValueError when `text` is anything else, or lies beyond the year 9998.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a date or time is written as 2027-01-31 or 2027-01-31T12:00:00Z") from None
    if moment.year > 9998 or moment.year < 1970:
        raise ValueError("the year must lie between 1970 and 9998")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def parse_expiry(text: str, now: datetime) -> datetime:
    """Return when something that is made at `now` ends: after a duration, or at a point in time.

    Raises ValueError when `text` is neither, or the end lies in the past or more than 100 years ahead.
    """
    if _DURATION.fullmatch(text):
        # min(): a timedelta of more than 999,999,999 days cannot be built.
        end = now + timedelta(seconds=min(parse_duration(text), 36_600 * 86400.0))
    else:
        end = parse_moment(text)
    if end <= now:
        raise ValueError(f"{end:%Y-%m-%d %H:%M:%S} UTC has passed already")
    if end > now + timedelta(days=36_525):
        raise ValueError("that is more than 100 years ahead; leave it out for a key that never expires")
    return end
