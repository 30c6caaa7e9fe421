"""What the answers hold, for the API's description and the columns of CSV; the endpoints write them without these."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from analytics.record import OUTCOMES


def _count(text: str = "") -> serializers.IntegerField:
    return serializers.IntegerField(help_text=text)


def _name(text: str = "") -> serializers.CharField:
    return serializers.CharField(help_text=text)


def _maybe(text: str = "") -> serializers.CharField:
    return serializers.CharField(help_text=text, allow_null=True)


def _ms(text: str = "") -> serializers.FloatField:
    return serializers.FloatField(help_text=text, allow_null=True)


class Measures(serializers.Serializer[Any]):
    """Calls added up."""

    request_count = _count("Calls.")
    error_count = _count("Calls that did not end `ok`.")
    error_rate = serializers.FloatField(help_text="Their share, 0 to 1.")
    avg_latency_ms = _ms("Mean, in milliseconds; null where there was no call.")
    p50_latency_ms = _ms("Percentiles are at most 5 % off.")
    p95_latency_ms = _ms()
    p99_latency_ms = _ms()
    total_request_bytes = _count("Bytes of the requests' bodies.")
    total_response_bytes = _count("Bytes of the answers' bodies.")


class _Echo(serializers.Serializer[Any]):
    period = _name("The period's length, as Go prints a duration: `168h0m0s`.")


class _Span(_Echo):
    to = serializers.DateTimeField(help_text="End of the period.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields; `from` is a word that Python keeps for itself."""
        since = serializers.DateTimeField(help_text="Beginning of the period.")
        return {**super().get_fields(), "from": since}


def _truncated() -> serializers.BooleanField:
    return serializers.BooleanField(required=False, help_text="There when there were more rows.")


class UsageRow(serializers.Serializer[Any]):
    """One user, or tool, in one namespace."""

    user_id = serializers.CharField(required=False, help_text="With group_by=user.")
    tool_name = serializers.CharField(required=False, help_text="With group_by=tool.")
    namespace = _name()
    request_count = _count("Calls.")
    error_count = _count("Calls that did not end `ok`.")
    avg_latency_ms = _ms("Mean, in milliseconds.")
    total_request_bytes = _count()
    total_response_bytes = _count()
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

    namespace = _name()


class UserTool(Measures):
    """One tool of a user."""

    tool_name = _name()
    namespace = _name()


class UserKey(Measures):
    """One key of a user."""

    key_id = _count("Number of the API key.")


class Outcome(serializers.Serializer[Any]):
    """How some calls ended."""

    outcome = serializers.ChoiceField(choices=list(OUTCOMES))
    reason = _maybe("The finer reason; null for `ok` and where there is none.")
    request_count = _count("Calls.")
    share = serializers.FloatField(help_text="Of all calls, 0 to 1.")


class UserUsage(_Span):
    """Answer of /analytics/usage/<user_id>."""

    user_id = _name()
    totals = Measures()
    namespaces = UserNamespace(many=True)
    tools = UserTool(many=True)
    keys = UserKey(many=True)
    outcomes = Outcome(many=True)


class Tool(serializers.Serializer[Any]):
    """One tool of one namespace."""

    tool_name = _name()
    namespace = _name()
    invocations = _count("Calls.")
    unique_users = _count("How many different users made them.")
    avg_latency_ms = _ms("Mean, in milliseconds.")
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

    bucket = _name("Width of a bucket, as Go prints a duration: `1h0m0s`.")
    data = Value(many=True)


class Latencies(serializers.Serializer[Any]):
    """Three percentiles at one point."""

    timestamp = serializers.DateTimeField(help_text="When the bucket begins.")
    request_count = _count("Calls.")
    p50_latency_ms = _ms("Milliseconds; null where there was no call.")
    p95_latency_ms = _ms()
    p99_latency_ms = _ms()


class Percentiles(_Echo):
    """Answer of /analytics/percentiles."""

    bucket = _name("Width of a bucket, as Go prints a duration: `1h0m0s`.")
    data = Latencies(many=True)


class Totals(Measures):
    """A period added up."""

    to = serializers.DateTimeField(help_text="End of the period.")
    active_users = _count("How many different users made the calls.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields; `from` is a word that Python keeps for itself."""
        since = serializers.DateTimeField(help_text="Beginning of the period.")
        return {**super().get_fields(), "from": since}


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

    key_id = _count("Number of the API key.")
    user_id = _name("Whose it is.")
    description = _name("What it is for.")
    state = serializers.ChoiceField(choices=["active", "expired", "revoked", "deleted"])


class Keys(_Span):
    """Answer of /analytics/keys."""

    keys = Key(many=True)
    truncated = _truncated()


class NamespaceUsage(Measures):
    """One namespace."""

    namespace = _name()
    unique_users = _count("How many different users made the calls.")


class Namespaces(_Span):
    """Answer of /analytics/namespaces."""

    namespaces = NamespaceUsage(many=True)
    truncated = _truncated()


class UpstreamUsage(Measures):
    """One upstream."""

    upstream = _name()


class Upstreams(_Span):
    """Answer of /analytics/upstreams."""

    upstreams = UpstreamUsage(many=True)
    truncated = _truncated()


class _Counts(serializers.Serializer[Any]):
    requests = _count()
    errors = _count("Requests that did not end `ok`.")
    successRate = serializers.FloatField(help_text="Share of the others, 0 to 1.", allow_null=True)
    avgLatencyMs = _ms()
    p95LatencyMs = _ms()
    p99LatencyMs = _ms()


class ServerMetrics(_Counts):
    """One server, which is an upstream."""

    serverId = _name()


class ToolMetrics(_Counts):
    """One tool of one server."""

    toolName = _name()
    serverId = _name()
    namespace = _name()


class Metrics(serializers.Serializer[Any]):
    """Answer of /api/v1/metrics."""

    totalRequests = _count()
    successRate = serializers.FloatField(help_text="0 to 1; null where there was no request.", allow_null=True)
    avgLatencyMs = _ms()
    p50LatencyMs = _ms()
    p95LatencyMs = _ms()
    p99LatencyMs = _ms()
    requestsPerMinute = serializers.FloatField()
    topTools = ToolMetrics(many=True)
    topServers = ServerMetrics(many=True)
    errorsByServer = serializers.DictField(child=serializers.IntegerField(), help_text="Servers with errors only.")
    servers = ServerMetrics(many=True)
    windowMs = _count("Length of the window in milliseconds.")
    to = serializers.DateTimeField(help_text="End of the window.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields; `from` is a word that Python keeps for itself."""
        since = serializers.DateTimeField(help_text="Beginning of the window.")
        return {**super().get_fields(), "from": since}


@extend_schema_serializer(component_name="LoggedCall")
class Call(serializers.Serializer[Any]):
    """One call of the request log; the first eight fields are those of B.8."""

    id = serializers.UUIDField()
    timestamp = serializers.DateTimeField(help_text="When the call began.")
    serverId = _maybe("The upstream; null when the call got no further than the gateway.")
    toolName = _maybe("Name of the tool or prompt, or URI of the resource.")
    durationMs = serializers.FloatField()
    success = serializers.BooleanField(help_text="Whether it ended `ok`.")
    clientId = _maybe("The key's user; null for a stranger.")
    via = serializers.ChoiceField(choices=["mcp", "rest"])
    namespace = _maybe("As the client asked for it, known or not.")
    keyId = serializers.IntegerField(allow_null=True, help_text="Number of the API key.")
    method = _maybe("The MCP method.")
    kind = serializers.ChoiceField(choices=["tool", "resource", "prompt"], allow_null=True)
    outcome = serializers.ChoiceField(choices=list(OUTCOMES))
    reason = _maybe("Refines the outcome; an error answer carries the same code.")
    httpStatus = serializers.IntegerField()
    jsonrpcCode = serializers.IntegerField(allow_null=True)
    authMs = _ms("Until the caller was known.")
    limitMs = _ms("Until rules and limits let the call pass.")
    upstreamMs = _ms("How long the upstream took in all.")
    firstByteMs = _ms("How long until its answer began.")
    requestBytes = serializers.IntegerField()
    responseBytes = serializers.IntegerField()
    protocolVersion = _maybe()
    clientName = _maybe("What the client calls itself.")
    clientAddress = _maybe("For those who may see it, otherwise null.")
    session = _maybe("A hash.")
    requestId = _maybe("X-Request-Id of the call's answer.")
    traceId = _maybe()


class Stage(serializers.Serializer[Any]):
    """A part of a call's time."""

    stage = serializers.ChoiceField(choices=["authentication", "limits", "waiting", "answer"])
    startMs = serializers.FloatField(help_text="Since the call began.")
    durationMs = serializers.FloatField()


@extend_schema_serializer(component_name="OneLoggedCall")
class OneCall(Call):
    """Answer of /api/v1/requests/<id>."""

    stages = Stage(many=True, help_text="In order; a row that an older version wrote has fewer.")


class Calls(serializers.Serializer[Any]):
    """Answer of /api/v1/requests."""

    requests = Call(many=True)
    nextCursor = serializers.CharField(allow_null=True, help_text="For the next older page; null on the last.")
    source = serializers.ChoiceField(choices=["postgres"])


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
    message = _name("A sentence that says what to do.")
    field = serializers.CharField(required=False, help_text="The parameter at fault.")


class Error(serializers.Serializer[Any]):
    """The one shape of every error."""

    error = ErrorDetail()


class NamespaceEntry(serializers.Serializer[Any]):
    """A namespace that the caller may use."""

    name = _name()
    description = _name()


class NamespaceList(serializers.Serializer[Any]):
    """Answer of /namespaces."""

    namespaces = NamespaceEntry(many=True)
