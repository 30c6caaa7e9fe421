"""Single query parameters: how each is written, and the sentence that a wrong one gets."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from analytics.durations import go_duration, parse_bucket, parse_period
from keys.redaction import redact

MAX_PERIOD = timedelta(days=3660)
MIN_BUCKET, MAX_BUCKET = timedelta(minutes=1), timedelta(days=1)
MAX_NAME = 2048  # characters of a tool's name; resource URIs stand there too
MAX_ID = (1 << 63) - 1

# RFC 3339 §5.6, with a zone; and milliseconds since 1970, as JavaScript has them.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{12,14}")
_WHOLE = re.compile(r"[0-9]{1,19}")


def shown(value: object) -> str:
    """Return a wrong value as a message may repeat it: short, and without a key that went there by mistake."""
    return repr(redact(str(value))[:60])


class _Text(serializers.Field[Any, object, str, Any]):
    """A parameter that is only read; what it is written as again is for the schema alone."""

    def to_representation(self, value: object) -> str:
        """Return the value's text."""
        return str(value)


@extend_schema_field({"type": "string", "pattern": "^[0-9]{1,7}[dhm]$"})
class PeriodField(_Text):
    """A duration such as 7d, 24h or 30m; a timedelta inside."""

    def to_internal_value(self, data: object) -> timedelta:
        """Return the duration. Raises ValidationError with a sentence that tells the form."""
        try:
            period = parse_period(str(data))
        except ValueError as error:
            raise serializers.ValidationError(redact(str(error))) from None
        if period > MAX_PERIOD:
            raise serializers.ValidationError(f"the longest period is {MAX_PERIOD.days}d")
        return period


@extend_schema_field({"type": "string", "pattern": "^[0-9]{1,7}[dhms]$"})
class BucketField(_Text):
    """The width of a bucket of a time series, such as 1h; a timedelta inside."""

    def to_internal_value(self, data: object) -> timedelta:
        """Return the width. Raises ValidationError when it is no divisor of a day within the bounds."""
        try:
            bucket = parse_bucket(str(data))
        except ValueError as error:
            raise serializers.ValidationError(redact(str(error))) from None
        if not MIN_BUCKET <= bucket <= MAX_BUCKET:
            bounds = f"{go_duration(MIN_BUCKET)} to {go_duration(MAX_BUCKET)}"
            raise serializers.ValidationError(f"a bucket is {bounds} wide")
        if MAX_BUCKET % bucket:
            raise serializers.ValidationError("a day must be a multiple of the bucket, as of 5m, 1h or 6h")
        return bucket


@extend_schema_field({"type": "string", "format": "date-time"})
class MomentField(_Text):
    """A moment as RFC 3339 writes it, or in milliseconds since 1970; an aware datetime in UTC inside."""

    def to_internal_value(self, data: object) -> datetime:
        """Return the moment. Raises ValidationError with a sentence that tells the form."""
        text = str(data)
        try:
            if _MILLISECONDS.fullmatch(text):
                return datetime.fromtimestamp(int(text) / 1000, UTC)
            if _MOMENT.fullmatch(text):
                # The `+` of a zone that was not encoded in the URL has become a space; only a date may hold one.
                return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            pass
        raise serializers.ValidationError(
            f"{shown(text)} is no moment; write it as 2026-11-20T08:00:00Z (encode a + as %2B)"
        )


@extend_schema_field({"type": "boolean"})
class FlagField(_Text):
    """true or false, also 1 or 0; nothing else that might be meant."""

    def to_internal_value(self, data: object) -> bool:
        """Return the value. Raises ValidationError for any other word."""
        if data in ("true", "1"):
            return True
        if data in ("false", "0"):
            return False
        raise serializers.ValidationError("write true or false")

    def to_representation(self, value: object) -> bool:  # type: ignore[override]
        """Return the value, which the description shows as the default."""
        return bool(value)


class WordField(serializers.ChoiceField):
    """One of a few words."""

    def fail(self, key: str, **context: Any) -> NoReturn:
        """Raise ValidationError that names the words."""
        words = ", ".join(str(choice) for choice in self.choices)
        raise serializers.ValidationError(f"{shown(context.get('input', ''))} is none of {words}")


class WholeNumberField(serializers.IntegerField):
    """A whole number in plain digits: no sign, no exponent, no digits of other scripts."""

    def to_internal_value(self, data: Any) -> int:
        """Return the number; its bounds are checked afterwards. Raises ValidationError."""
        if not _WHOLE.fullmatch(str(data)):
            bounds = f" from {self.min_value} to {self.max_value}" if self.max_value is not None else ""
            raise serializers.ValidationError(f"write a whole number{bounds}")
        return int(data)


class NameField(serializers.CharField):
    """A name to filter by, taken literally. One that nobody has is no error: it matches nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "trim_whitespace": False, "max_length": MAX_NAME} | options)
