"""The query parameters that endpoints share, and the checks that no endpoint leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.http import QueryDict
from django.utils import timezone
from rest_framework import serializers

from analytics import queries
from analytics.rest.fields import (
    MAX_ID,
    MAX_PERIOD,
    BucketField,
    FlagField,
    MomentField,
    NameField,
    PeriodField,
    WholeNumberField,
    WordField,
)
from keys.redaction import redact
from keys.visibility import Scope

DEFAULT_PERIOD = timedelta(hours=24)
MAX_POINTS = 2000
# Of a table with percentiles, which are worked out for its rows alone.
DEFAULT_ROWS = 20
# A clock that runs ahead of ours is no mistake of the caller's; years are.
CLOCK_SKEW = timedelta(days=1)
# How wide a bucket is when none is asked for: the narrowest of these that gives a chart some two dozen points.
_BUCKETS = [timedelta(minutes=width) for width in (1, 5, 15, 30, 60, 180, 360, 720, 1440)]
_POINTS = 40
# What the parameters are called in a view of the queries.
VIEW_NAMES = {"namespace": "namespace", "upstream": "upstream", "user": "user_id", "key": "key_id", "tool": "tool"}


class Parameters(serializers.Serializer[Any]):
    """What every endpoint takes, and nothing else: a name that it does not know, or a name twice, is refused."""

    format = WordField(
        choices=["json", "csv"], required=False, help_text="The same as `Accept: application/json` or `text/csv`."
    )

    @classmethod
    def of(cls, query: QueryDict, **context: object) -> dict[str, Any]:
        """Return the validated parameters of a request. Raises ValidationError that names the first at fault."""
        parameters = cls(data=query.dict(), context=context)
        known = parameters.fields
        for name, values in query.lists():
            if name not in known:
                named = redact(name)[:100]
                raise serializers.ValidationError(
                    {named: f"there is no such parameter here; there are {', '.join(sorted(known))}"}
                )
            if len(values) > 1:
                raise serializers.ValidationError({name: "send this parameter once"})
        parameters.is_valid(raise_exception=True)
        return dict(parameters.validated_data)


class PeriodParameters(Parameters):
    """Which calls: a period that ends now, or one between two moments; of whom, and where."""

    period = PeriodField(
        required=False, help_text="How far back from now: `7d`, `24h`, `30m`. 24h when nothing is said."
    )
    to = MomentField(required=False, help_text="Only calls that began before this moment.")
    namespace = NameField(help_text="Only calls of this namespace.")
    mine = FlagField(required=False, default=False, help_text="Only the caller's own calls.")

    default_period = DEFAULT_PERIOD

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields; `from` is a word that Python keeps for itself."""
        fields = super().get_fields()
        first = {name: fields.pop(name) for name in ("period", "to")}
        first["from"] = MomentField(required=False, help_text="Only calls that began at this moment or later.")
        last = {"format": fields.pop("format")}
        return {name: first[name] for name in ("period", "from", "to")} | fields | last

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that the period makes sense. Raises ValidationError that names the parameter."""
        check_span(attrs, "from", "to")
        return attrs

    @classmethod
    def span(cls, given: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
        """Return the beginning and the end of what is asked about."""
        until = given.get("to") or now
        return given.get("from") or until - (given.get("period") or cls.default_period), until

    @classmethod
    def view(cls, given: Mapping[str, Any], now: datetime, scope: Scope) -> queries.View:
        """Return the view that the parameters describe, within the caller's scope."""
        since, until = cls.span(given, now)
        names = {name: given[parameter] for parameter, name in VIEW_NAMES.items() if parameter in given}
        return queries.View(since, until, scope, **names)


def check_span(given: Mapping[str, Any], first: str, last: str) -> None:
    """Check period, beginning and end against each other. Raises ValidationError that names the parameter at fault."""
    now = timezone.now()
    since, until = given.get(first), given.get(last)
    if since and given.get("period"):
        raise serializers.ValidationError({"period": f"send either period or {first}, not both"})
    if until and until > now + CLOCK_SKEW:
        raise serializers.ValidationError({last: "this moment is yet to come"})
    if until and until < now - MAX_PERIOD:
        raise serializers.ValidationError({last: f"no call is kept for {MAX_PERIOD.days} days"})
    if since and since < now - MAX_PERIOD:
        raise serializers.ValidationError({first: f"the longest period is {MAX_PERIOD.days}d"})
    if since and since >= (until or now):
        raise serializers.ValidationError({first: f"it must be before {last}" if until else "it must be in the past"})


class FilterParameters(PeriodParameters):
    """A period, and the names that its calls must carry."""

    user = NameField(help_text="Only calls of this user.")
    key = WholeNumberField(
        min_value=1, max_value=MAX_ID, required=False, help_text="Only calls with the API key of this number."
    )
    tool = NameField(help_text="Only calls of this tool.")
    upstream = NameField(help_text="Only calls of this upstream.")


class TableParameters(FilterParameters):
    """A ranking: how many rows, and which come first."""

    limit = WholeNumberField(
        min_value=1,
        max_value=queries.MAX_GROUPS,
        default=DEFAULT_ROWS,
        help_text=f"Most rows; {DEFAULT_ROWS} when nothing is said. Percentiles of hundreds of rows over a month take"
        " seconds.",
    )
    min_calls = WholeNumberField(
        min_value=1,
        max_value=MAX_ID,
        default=1,
        help_text="Leave out rows with fewer calls: a mean of three ranks nothing.",
    )
    order = WordField(
        choices=list(queries.ORDERS),
        default="calls",
        help_text="What comes first. By `errors` and `error_rate` only rows with errors are listed.",
    )


class SeriesParameters(FilterParameters):
    """A time series: its period, and how wide its buckets are."""

    bucket = BucketField(
        required=False,
        help_text="Width of a bucket: a divisor of a day from `1m` to `1d`, such as `5m`, `1h` or `6h`. Buckets begin"
        f" at its multiples (UTC). At most {MAX_POINTS:,} an answer. When nothing is said, one that suits a chart.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check the period, and that the series has no more points than an answer holds."""
        attrs = super().validate(attrs)
        since, until = self.span(attrs, timezone.now())
        bucket = attrs.get("bucket")
        if bucket and (until - since) / bucket > MAX_POINTS:
            raise serializers.ValidationError(
                {"bucket": f"that would be over {MAX_POINTS:,} points; choose a wider bucket or a shorter period"}
            )
        return attrs

    @staticmethod
    def default_bucket(reading: queries.Reading, view: queries.View) -> timedelta:
        """Return a width that gives a readable chart and that the log is still kept at."""
        finest = reading.finest_bucket(reading.align(view.since))
        span = view.until - view.since
        return next((width for width in _BUCKETS if width >= finest and span / width < _POINTS), _BUCKETS[-1])
