"""What the answers hold, for the API's description and the columns of CSV; the endpoints write them without these."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from analytics.record import OUTCOMES
from analytics.rest.answer_fields import count_of, milliseconds, text_of, text_or_null, with_from


class Measures(serializers.Serializer[Any]):
    """Calls added up."""

    request_count = count_of("Calls.")
    error_count = count_of("Calls that did not end `ok`.")
    error_rate = serializers.FloatField(help_text="Their share, 0 to 1.")
    avg_latency_ms = milliseconds("Mean, in milliseconds; null where there was no call.")
    p50_latency_ms = milliseconds("Percentiles are at most 5 % off.")
    p95_latency_ms = milliseconds()
    p99_latency_ms = milliseconds()
    total_request_bytes = count_of("Bytes of the requests' bodies.")
    total_response_bytes = count_of("Bytes of the answers' bodies.")


class _Echo(serializers.Serializer[Any]):
    period = text_of("The period's length, as Go prints a duration: `168h0m0s`.")


class _Span(_Echo):
    to = serializers.DateTimeField(help_text="End of the period.")

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; `from` is a word that Python keeps for itself."""
        return with_from(super().get_fields())


def _truncated() -> serializers.BooleanField:
    return serializers.BooleanField(required=False, help_text="There when there were more rows.")


class UsageRow(serializers.Serializer[Any]):
    """One user, or tool, in one namespace."""

    user_id = serializers.CharField(required=False, help_text="With group_by=user.")
    tool_name = serializers.CharField(required=False, help_text="With group_by=tool.")
    namespace = text_of()
    request_count = count_of("Calls.")
    error_count = count_of("Calls that did not end `ok`.")
    avg_latency_ms = milliseconds("Mean, in milliseconds.")
    total_request_bytes = count_of()
    total_response_bytes = count_of()
    error_rate = serializers.FloatField(required=False, help_text="With detail=true, like the percentiles.")
    p50_latency_ms = serializers.FloatField(required=False, allow_null=True)
    p95_latency_ms = serializers.FloatField(required=False, allow_null=True)
    p99_latency_ms = serializers.FloatField(required=False, allow_null=True)


class Usage(_Echo):
    """Answer of /analytics/usage."""

    results = UsageRow(many=True)
    truncated = _truncated()


class UserNamespace(Measures):
    """One namespace of a user."""

    namespace = text_of()


class UserTool(Measures):
    """One tool of a user."""

    tool_name = text_of()
    namespace = text_of()


class UserKey(Measures):
    """One key of a user."""

    key_id = count_of("Number of the API key.")


class Outcome(serializers.Serializer[Any]):
    """How some calls ended."""

    outcome = serializers.ChoiceField(choices=list(OUTCOMES))
    reason = text_or_null("The finer reason; null for `ok` and where there is none.")
    request_count = count_of("Calls.")
    share = serializers.FloatField(help_text="Of all calls, 0 to 1.")


class UserUsage(_Span):
    """Answer of /analytics/usage/<user_id>."""

    user_id = text_of()
    totals = Measures()
    namespaces = UserNamespace(many=True)
    tools = UserTool(many=True)
    keys = UserKey(many=True)
    outcomes = Outcome(many=True)


class Tool(serializers.Serializer[Any]):
    """One tool of one namespace."""

    tool_name = text_of()
    namespace = text_of()
    invocations = count_of("Calls.")
    unique_users = count_of("How many different users made them.")
    avg_latency_ms = milliseconds("Mean, in milliseconds.")
    error_rate = serializers.FloatField(help_text="Share of calls that did not end `ok`, 0 to 1.")
    request_count = serializers.IntegerField(required=False, help_text="With detail=true, like what follows.")
    error_count = serializers.IntegerField(required=False)
    p50_latency_ms = serializers.FloatField(required=False, allow_null=True)
    p95_latency_ms = serializers.FloatField(required=False, allow_null=True)
    p99_latency_ms = serializers.FloatField(required=False, allow_null=True)
    total_request_bytes = serializers.IntegerField(required=False)
    total_response_bytes = serializers.IntegerField(required=False)


class Tools(_Echo):
    """Answer of /analytics/tools."""

    tools = Tool(many=True)


class Value(serializers.Serializer[Any]):
    """One point of a series."""

    timestamp = serializers.DateTimeField(help_text="When the bucket begins.")
    value = serializers.FloatField(
        allow_null=True, help_text="A whole number for calls, errors and bytes, otherwise milliseconds or null."
    )


class TimeSeries(_Echo):
    """Answer of /analytics/timeseries."""

    bucket = text_of("Width of a bucket, as Go prints a duration: `1h0m0s`.")
    data = Value(many=True)  # type: ignore[assignment]  # no attribute: a field


class Latencies(serializers.Serializer[Any]):
    """Three percentiles at one point."""

    timestamp = serializers.DateTimeField(help_text="When the bucket begins.")
    request_count = count_of("Calls.")
    p50_latency_ms = milliseconds("Milliseconds; null where there was no call.")
    p95_latency_ms = milliseconds()
    p99_latency_ms = milliseconds()


class Percentiles(_Echo):
    """Answer of /analytics/percentiles."""

    bucket = text_of("Width of a bucket, as Go prints a duration: `1h0m0s`.")
    data = Latencies(many=True)  # type: ignore[assignment]  # no attribute: a field


class Totals(Measures):
    """A period added up."""

    to = serializers.DateTimeField(help_text="End of the period.")
    active_users = count_of("How many different users made the calls.")

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; `from` is a word that Python keeps for itself."""
        return with_from(super().get_fields())


class Summary(_Echo):
    """Answer of /analytics/summary."""

    current = Totals()
    before = Totals(help_text="The period of equal length before.")


class Outcomes(_Span):
    """Answer of /analytics/outcomes."""

    outcomes = Outcome(many=True)
    truncated = _truncated()


class Key(Measures):
    """One API key."""

    key_id = count_of("Number of the API key.")
    user_id = text_of("Whose it is.")
    description = text_or_null("What it is for; null like the state when the key is deleted, or is another team's.")
    state = serializers.ChoiceField(choices=["active", "expired", "revoked"], allow_null=True)


class Keys(_Span):
    """Answer of /analytics/keys."""

    keys = Key(many=True)
    truncated = _truncated()


class NamespaceUsage(Measures):
    """One namespace."""

    namespace = text_of()
    unique_users = serializers.IntegerField(required=False, help_text="How many users made the calls (detail=true).")


class Namespaces(_Span):
    """Answer of /analytics/namespaces."""

    namespaces = NamespaceUsage(many=True)
    truncated = _truncated()


class UpstreamUsage(Measures):
    """One upstream."""

    upstream = text_of()


class Upstreams(_Span):
    """Answer of /analytics/upstreams."""

    upstreams = UpstreamUsage(many=True)
    truncated = _truncated()


class ErrorDetail(serializers.Serializer[Any]):
    """What went wrong."""

    reason = serializers.ChoiceField(
        choices=[
            "error",
            "forbidden",
            "invalid_parameter",
            "method_not_allowed",
            "not_acceptable",
            "not_found",
            "rate_limited",
            "unauthenticated",
            "unavailable",
        ]
    )
    message = text_of("A sentence that says what to do.")
    field = serializers.CharField(required=False, help_text="The parameter at fault.")


class Error(serializers.Serializer[Any]):
    """The one shape of every error."""

    error = ErrorDetail()


class NamespaceEntry(serializers.Serializer[Any]):
    """A namespace that the caller may use."""

    name = text_of()
    description = text_of()


class NamespaceList(serializers.Serializer[Any]):
    """Answer of /namespaces."""

    namespaces = NamespaceEntry(many=True)


class ServerCounts(serializers.Serializer[Any]):
    """How many of the caller's upstreams are in each state."""

    total = count_of("Enabled upstreams.")
    online = count_of()
    offline = count_of("Failing for longer than `reconnecting`.")
    degraded = count_of("Checks pass, but calls fail there.")
    reconnecting = count_of("Was well, and its last one or two checks failed.")
    unknown = count_of("Not checked yet, or not of late.")
    totalTools = count_of("Tools that they list.")


class Health(serializers.Serializer[Any]):
    """Answer of /api/v1/health."""

    status = serializers.ChoiceField(choices=["ok", "degraded"])
    version = text_of()
    uptime = count_of("Seconds since this worker started.")
    servers = ServerCounts()
