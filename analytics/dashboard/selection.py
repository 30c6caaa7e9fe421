"""What a person has chosen to look at: a span of time, a namespace, whose calls. It lives in the URL alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils.http import urlencode

from analytics.durations import parse_period
from analytics.queries import Reading

PRESETS = ("30m", "1h", "6h", "24h", "7d", "30d", "90d")
DEFAULT_PERIOD = "24h"
LONGEST = timedelta(days=1100)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MAX_NAME = 2048

_MINUTE = timedelta(minutes=1)
# Steps that divide a day, so that buckets begin at round times. A day is read by its hours: its minutes are many.
_BUCKETS = (
    _MINUTE,
    timedelta(minutes=5),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
MAX_POINTS = 170


class BadParameterError(ValueError):
    """A parameter of the URL that cannot be used; the message is a sentence about its value."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice, with its times filled in.

    `period` is None where both ends were chosen. `since` is a multiple of `bucket`, so that the first bucket of a
    chart is a whole one; only the last may be still filling.
    """

    since: datetime
    until: datetime
    bucket: timedelta
    period: str | None
    namespace: str | None
    mine: bool

    @property
    def length(self) -> timedelta:
        """How long the span is."""
        return self.until - self.since

    def parameters(self, **changes: str | None) -> dict[str, str]:
        """Return the parameters that say the same again; `changes` replace some, None takes one away.

        A change of `period` takes `from` and `to` away, and the other way round.
        """
        chosen: dict[str, str | None] = {"period": self.period if self.period != DEFAULT_PERIOD else None}
        if self.period is None:
            chosen |= {"from": minute_text(self.since), "to": minute_text(self.until)}
        if "period" in changes:
            chosen |= {"from": None, "to": None}
        chosen |= {"namespace": self.namespace, "mine": "true" if self.mine else None}
        return {name: value for name, value in (chosen | changes).items() if value is not None}

    def query(self, **changes: str | None) -> str:
        """Return `parameters` as the end of a URL, with its question mark; empty where all is as by default."""
        chosen = self.parameters(**changes)
        return f"?{urlencode(chosen)}" if chosen else ""


def parse(given: Mapping[str, str], reading: Reading) -> Selection:
    """Return the choice that the URL's parameters make at the snapshot's moment.

    Raises BadParameterError.
    """
    since, until, period = _span(given, reading.now)
    if until - since > LONGEST:
        raise BadParameterError("from" if period is None else "period", f"The longest period is {LONGEST.days} days.")
    bucket = _bucket(reading, since, until)
    width = int(bucket.total_seconds())
    aligned = int(since.timestamp()) // width * width
    since = datetime.fromtimestamp(aligned, UTC)
    return Selection(since, until, bucket, period, name_of(given, "namespace"), switch_of(given, "mine"))


def _span(given: Mapping[str, str], now: datetime) -> tuple[datetime, datetime, str | None]:
    if given.get("from") or given.get("to"):
        until = _moment(given, "to", now) if given.get("to") else now
        since = _moment(given, "from", now) if given.get("from") else until - timedelta(days=1)
        if since >= until:
            raise BadParameterError("from", "The beginning of the period must lie before its end.")
        return since, until, None
    period = given.get("period") or DEFAULT_PERIOD
    try:
        length = parse_period(period)
    except (ValueError, OverflowError):
        raise BadParameterError("period", "A period is a whole number and a unit, such as 30m, 24h or 7d.") from None
    if length > LONGEST:
        raise BadParameterError("period", f"The longest period is {LONGEST.days} days.")
    return now - length, now, period


def _moment(given: Mapping[str, str], name: str, now: datetime) -> datetime:
    """Return a time as the date field of a browser writes it (taken as UTC), or as RFC 3339 does."""
    text = given[name].strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadParameterError(name, "A time looks like 2026-11-20T14:30 and is taken as UTC.") from None
    try:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        moment = EARLIEST - _MINUTE
    if not EARLIEST <= moment <= now + timedelta(days=1):
        raise BadParameterError(name, "The time must lie between the year 2000 and tomorrow.")
    return moment


def _bucket(reading: Reading, since: datetime, until: datetime) -> timedelta:
    """Return the finest bucket that gives at most MAX_POINTS points and that the log, of the period before too, has."""
    finest = reading.finest_bucket(reading.align(since - (until - since)))
    for bucket in _BUCKETS:
        if bucket >= finest and (until - since) / bucket <= MAX_POINTS:
            return bucket
    return _BUCKETS[-1]


def name_of(given: Mapping[str, str], parameter: str) -> str | None:
    """Return a name from the URL, None where there is none. Raises BadParameterError for what can be no name."""
    text = given.get(parameter, "")
    if len(text) > MAX_NAME:
        raise BadParameterError(parameter, f"A name has at most {MAX_NAME:,} characters.")
    if "\x00" in text:
        raise BadParameterError(parameter, "A name holds no zero bytes.")
    return text or None


def switch_of(given: Mapping[str, str], parameter: str) -> bool:
    """Return whether a parameter says yes. Raises BadParameterError for what is neither yes nor no."""
    text = given.get(parameter, "").lower()
    if text not in ("", "true", "1", "on", "yes", "false", "0", "off", "no"):
        raise BadParameterError(parameter, "Write true or false.")
    return text in ("true", "1", "on", "yes")


def choice_of(given: Mapping[str, str], parameter: str, allowed: tuple[str, ...], default: str) -> str:
    """Return one of the allowed words. Raises BadParameterError for any other."""
    text = given.get(parameter, "") or default
    if text not in allowed:
        raise BadParameterError(parameter, f"It must be one of {', '.join(allowed)}.")
    return text


def minute_text(moment: datetime) -> str:
    """Return a moment in UTC as a date field of a browser takes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
