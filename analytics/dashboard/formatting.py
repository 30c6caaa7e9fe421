"""Numbers and times as people read them: units beside the value, thousands apart, three significant digits. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NONE = "–"
_NBSP = "\u00a0"


def count(number: int | None) -> str:
    """Return a whole number with its thousands apart: 1,234,567."""
    return NONE if number is None else f"{number:,}"


def latency(milliseconds: float | None) -> str:
    """Return a duration with three significant digits and its unit: 0.42 ms, 8.4 ms, 1.2 s, 2 min 5 s, 3 h 20 min."""
    if milliseconds is None:
        return NONE
    if milliseconds < 999.5:
        return f"{_significant(milliseconds)}{_NBSP}ms"
    seconds = milliseconds / 1000
    if seconds < 119.5:
        return f"{_significant(seconds)}{_NBSP}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{_NBSP}min {whole % 60}{_NBSP}s"
    return f"{whole // 3600}{_NBSP}h {whole % 3600 // 60}{_NBSP}min"


def microseconds(duration_us: int | None) -> str:
    """Return a duration of whole microseconds; below a tenth of a millisecond in microseconds."""
    if duration_us is None:
        return NONE
    return f"{duration_us}{_NBSP}µs" if duration_us < 100 else latency(duration_us / 1000)


def size(number: int | None) -> str:
    """Return bytes in decimal units: 512 B, 1.5 kB, 12.3 MB."""
    if number is None:
        return NONE
    if number < 1000:
        return f"{number}{_NBSP}B"
    amount = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5 or unit == "TB":
            break
    return f"{_significant(amount)}{_NBSP}{unit}"


def share(part: int, whole: int) -> str:
    """Return a part in percent: 4.2 %, 37 %, 0.03 %; nothing is 0 %."""
    if not whole:
        return NONE
    return percent(part / whole)


def percent(fraction: float) -> str:
    """Return a fraction in percent with two significant digits; what only rounds to all or nothing says so."""
    value = fraction * 100
    if 0 < value < 0.01:
        return f"<{_NBSP}0.01{_NBSP}%"
    if 99.5 <= value < 100:
        return f">{_NBSP}99{_NBSP}%"
    digits = 0 if value >= 9.95 or value == 0 else 1 if value >= 0.995 else 2
    return f"{value:.{digits}f}{_NBSP}%"


def times(ratio: float) -> str:
    """Return a ratio with two significant digits: 3.1 ×, 24 ×."""
    return f"{ratio:.1f}{_NBSP}×" if ratio < 9.95 else f"{ratio:,.0f}{_NBSP}×"


def span(length: timedelta) -> str:
    """Return how long a period is, in words: 30 minutes, 24 hours, 7 days."""
    minutes = round(length.total_seconds() / 60)
    if minutes < 60:
        return _plural(minutes, "minute")
    if minutes < 48 * 60:
        return _plural(round(minutes / 60), "hour")
    return _plural(round(minutes / 1440), "day")


def moment(at: datetime) -> str:
    """Return a moment in UTC to the second: 2026-11-20 14:30:05."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def short_moment(at: datetime, bucket: timedelta) -> str:
    """Return the beginning of a bucket as short as it stays clear: 20 Nov 14:30, or 20 Nov for a whole day."""
    at = at.astimezone(UTC)
    day = f"{at.day}{_NBSP}{at:%b}"
    return day if bucket >= timedelta(days=1) else f"{day} {at:%H:%M}"


def _significant(value: float) -> str:
    """Return three significant digits without trailing zeros: 0.42, 8.41, 12.3, 240."""
    if value == 0:
        return "0"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _plural(number: int, unit: str) -> str:
    return f"{number:,}{_NBSP}{unit}" + ("" if number == 1 else "s")


def shown(name: str) -> str:
    """Return a name that a client chose with what cannot be seen made visible: line breaks, direction marks, zeros.

    Escaping for HTML is the template's work, which never leaves it out.
    """
    if name.isprintable():
        return name
    return "".join(_visible(character) for character in name)


def _visible(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if code < 0x20:
        return chr(0x2400 + code)  # control pictures: ␍, ␊, ␉ …
    return f"⟨U+{code:04X}⟩"
