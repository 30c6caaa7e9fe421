"""Periods as the REST API takes and echoes them: 7d, 24h, 30m in; Go's 168h0m0s out. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"([0-9]{1,7})([dhms])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def parse_period(text: str) -> timedelta:
    """Return the duration that `text` names. Raises ValueError when it is none, or none at all (0)."""
    duration = _parse(text, "dhm")
    if duration is None:
        raise ValueError(f"{text[:100]!r} is no period; write a whole number and a unit, such as 7d, 24h or 30m")
    return duration


def parse_bucket(text: str) -> timedelta:
    """Return the width of a bucket that `text` names. Raises ValueError when it is none, or none at all (0)."""
    duration = _parse(text, "dhms")
    if duration is None:
        raise ValueError(f"{text[:100]!r} is no bucket; write a whole number and a unit, such as 1d, 6h, 5m or 30s")
    return duration


def _parse(text: str, units: str) -> timedelta | None:
    match = _DURATION.fullmatch(text)
    if not match or match[2] not in units or int(match[1]) == 0:
        return None
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def go_duration(duration: timedelta) -> str:
    """Return a whole number of seconds as Go's time.Duration prints it: 168h0m0s, 1h30m0s, 30m0s, 45s."""
    seconds = int(duration.total_seconds())
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
