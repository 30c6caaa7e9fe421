"""Query parameters of the analytics API: what they may be, and what an error says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from analytics.durations import parse_period

MAX_PERIOD = timedelta(days=3660)


class PeriodField(serializers.Field[timedelta, object, str, Any]):
    """A duration such as 7d, 24h or 30m; a timedelta inside."""

    default_error_messages = {"too_long": f"the longest period is {MAX_PERIOD.days}d"}

    def to_internal_value(self, data: object) -> timedelta:
        """Return the duration. Raises ValidationError with a sentence that tells the form."""
        try:
            period = parse_period(str(data))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None
        if period > MAX_PERIOD:
            self.fail("too_long")
        return period

    def to_representation(self, value: timedelta) -> str:
        """Return the duration in seconds, for the schema's sake; parameters are only read."""
        return f"{value.total_seconds():g}s"


class UsageParameters(serializers.Serializer[Any]):
    """Of GET /analytics/usage (A.5)."""

    period = PeriodField(default=timedelta(hours=24))
    group_by = serializers.ChoiceField(choices=["user", "tool"], default="user")
