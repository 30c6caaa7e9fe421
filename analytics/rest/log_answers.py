"""What the answers of /api/v1/metrics and /api/v1/requests hold, for the API's description and the columns of CSV."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from analytics.record import OUTCOMES
from analytics.rest.answer_fields import count_of, milliseconds, text_of, text_or_null, with_from


class _Counts(serializers.Serializer[Any]):
    requests = count_of()
    errors = count_of("Requests that did not end `ok`.")  # type: ignore[assignment]  # no attribute: a field
    successRate = serializers.FloatField(help_text="Share of the others, 0 to 1.", allow_null=True)
    avgLatencyMs = milliseconds()
    p95LatencyMs = milliseconds()
    p99LatencyMs = milliseconds()


class ServerMetrics(_Counts):
    """One server, which is an upstream."""

    serverId = text_of()


class ToolMetrics(_Counts):
    """One tool of one server."""

    toolName = text_of()
    serverId = text_of()
    namespace = text_of()


class Metrics(serializers.Serializer[Any]):
    """Answer of /api/v1/metrics."""

    totalRequests = count_of()
    successRate = serializers.FloatField(help_text="0 to 1; null where there was no request.", allow_null=True)
    avgLatencyMs = milliseconds()
    p50LatencyMs = milliseconds()
    p95LatencyMs = milliseconds()
    p99LatencyMs = milliseconds()
    requestsPerMinute = serializers.FloatField()
    topTools = ToolMetrics(many=True)
    topServers = ServerMetrics(many=True)
    errorsByServer = serializers.DictField(child=serializers.IntegerField(), help_text="Servers with errors only.")
    servers = ServerMetrics(many=True)
    windowMs = count_of("Length of the window in milliseconds.")
    to = serializers.DateTimeField(help_text="End of the window.")

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; `from` is a word that Python keeps for itself."""
        return with_from(super().get_fields())


@extend_schema_serializer(component_name="LoggedCall")
class Call(serializers.Serializer[Any]):
    """One call of the request log; the first eight fields are those of B.8."""

    id = serializers.UUIDField()
    timestamp = serializers.DateTimeField(help_text="When the call began.")
    serverId = text_or_null("The upstream; null when the call got no further than the gateway.")
    toolName = text_or_null("Name of the tool or prompt, or URI of the resource.")
    durationMs = serializers.FloatField()
    success = serializers.BooleanField(help_text="Whether it ended `ok`.")
    clientId = text_or_null("The key's user; null for a stranger.")
    via = serializers.ChoiceField(choices=["mcp", "rest"])
    namespace = text_or_null("As the client asked for it, known or not.")
    keyId = serializers.IntegerField(allow_null=True, help_text="Number of the API key.")
    method = text_or_null("The MCP method.")
    kind = serializers.ChoiceField(choices=["tool", "resource", "prompt"], allow_null=True)
    outcome = serializers.ChoiceField(choices=list(OUTCOMES))
    reason = text_or_null("Refines the outcome; an error answer carries the same code.")
    httpStatus = serializers.IntegerField()
    jsonrpcCode = serializers.IntegerField(allow_null=True)
    authMs = milliseconds("Until the caller was known.")
    limitMs = milliseconds("Until rules and limits let the call pass.")
    upstreamMs = milliseconds("How long the upstream took in all.")
    firstByteMs = milliseconds("How long until its answer began.")
    requestBytes = serializers.IntegerField()
    responseBytes = serializers.IntegerField()
    protocolVersion = text_or_null()
    clientName = text_or_null("What the client calls itself.")
    clientAddress = text_or_null("For those who may see it, otherwise null.")
    session = text_or_null("A hash.")
    requestId = text_or_null("X-Request-Id of the call's answer.")
    traceId = text_or_null()


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
    source = serializers.ChoiceField(choices=["postgres"])  # type: ignore[assignment]  # no attribute: a field
