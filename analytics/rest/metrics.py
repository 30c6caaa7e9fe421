"""The gateway in one answer: `/api/v1/metrics` (B.6), as JSON; the figures of `/metrics` as Prometheus text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from analytics import queries
from analytics.metrics.exposition import render
from analytics.metrics.upkeep import read_database
from analytics.rest import examples, rows
from analytics.rest import log_answers as answers
from analytics.rest.csv_text import moment
from analytics.rest.description import described
from analytics.rest.endpoint import Endpoint, Question
from analytics.rest.fields import MAX_PERIOD, WholeNumberField, WordField
from analytics.rest.parameters import PeriodParameters
from keys.visibility import scope_of

TOP = 10


class PrometheusRenderer(BaseRenderer):
    """Stands for the formats that Prometheus reads; the view makes the text itself."""

    media_type = "text/plain"
    format = "prometheus"


class OpenMetricsRenderer(PrometheusRenderer):
    """The same, asked for by its own name."""

    media_type = "application/openmetrics-text"


class MetricsParameters(PeriodParameters):
    """Of GET /api/v1/metrics."""

    format = WordField(
        choices=["json", "prometheus"],
        required=False,
        help_text="`prometheus` is the text of `/metrics`, for callers that see everything; no other parameter counts.",
    )
    window = WholeNumberField(
        min_value=1000,
        max_value=int(MAX_PERIOD.total_seconds() * 1000),
        required=False,
        help_text="How far back from now, in milliseconds; another way to write `period`. 1 h when nothing is said.",
    )

    default_period = timedelta(hours=1)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check the period, and that it is given once."""
        attrs = super().validate(attrs)
        if "window" in attrs and ("period" in attrs or "from" in attrs):
            raise serializers.ValidationError({"window": "send either window, period or from"})
        return attrs

    @classmethod
    def span(cls, given: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
        """Return the beginning and the end of what is asked about."""
        if "window" in given:
            until = given.get("to") or now
            return until - timedelta(milliseconds=given["window"]), until
        return super().span(given, now)


@extend_schema_view(
    get=described(
        "metrics",
        "The gateway in one answer",
        "Requests, success rate, latencies, the busiest tools and servers (upstreams) of the window. `successRate` is a"
        " share from 0 to 1, null where there was no request. `Accept: text/plain` or `format=prometheus` gives the"
        " text of `/metrics` to callers that see everything, 403 to others, and 404 where GATEWAY_METRICS is off.",
        MetricsParameters,
        answers.Metrics,
        example=examples.METRICS,
        csv=False,
    )
)
class MetricsView(Endpoint):
    """`GET /api/v1/metrics?window=<ms>`."""

    parameters = MetricsParameters
    renderer_classes = [JSONRenderer, PrometheusRenderer, OpenMetricsRenderer]

    def get(self, request: Request, **path: str) -> Any:
        """Answer in JSON, or with the exposition of this host."""
        if request.accepted_renderer.format != PrometheusRenderer.format:
            return super().get(request, **path)
        if not settings.METRICS_ENABLED:
            raise NotFound("There are no metrics here: GATEWAY_METRICS is off.")
        self.parameters.of(request.query_params)
        scope = scope_of(request.user)
        if scope.namespaces is not None or scope.user_ids is not None:
            raise PermissionDenied("Prometheus text is for callers that see everybody's calls.")
        text, content_type = render(request.headers.get("Accept", ""), read_database())
        return HttpResponse(text, content_type=content_type)

    def answer(self, question: Question) -> dict[str, Any]:
        """Return the totals, the busiest, and every server."""
        reading, view = question.reading, question.view
        totals = queries.totals(reading, view)
        servers = queries.ranking(reading, view, ("upstream",), limit=queries.MAX_GROUPS)
        tools = queries.ranking(reading, view, ("tool", "namespace", "upstream"), limit=TOP)
        minutes = (view.until - view.since).total_seconds() / 60
        return _totals(totals, minutes) | {
            "topTools": [_tool(group) for group in tools],
            "topServers": [_server(group) for group in servers[:TOP]],
            "errorsByServer": {
                str(group.names["upstream"]): group.measures.errors for group in servers if group.measures.errors
            },
            "servers": [_server(group) for group in servers],
            "windowMs": round((view.until - view.since).total_seconds() * 1000),
            "from": moment(view.since),
            "to": moment(view.until),
        }


def _totals(of: queries.Measures, minutes: float) -> dict[str, Any]:
    return {
        "totalRequests": of.calls,
        "successRate": _success(of),
        "avgLatencyMs": rows.ms(of.avg_ms),
        "p50LatencyMs": rows.ms(of.p50_ms),
        "p95LatencyMs": rows.ms(of.p95_ms),
        "p99LatencyMs": rows.ms(of.p99_ms),
        "requestsPerMinute": round(of.calls / minutes, 3),
    }


def _server(group: queries.Group) -> dict[str, Any]:
    return {"serverId": group.names["upstream"]} | _counts(group.measures)


def _tool(group: queries.Group) -> dict[str, Any]:
    names = group.names
    found = {"toolName": names["tool"], "serverId": names["upstream"], "namespace": names["namespace"]}
    return found | _counts(group.measures)


def _counts(of: queries.Measures) -> dict[str, Any]:
    return {
        "requests": of.calls,
        "errors": of.errors,
        "successRate": _success(of),
        "avgLatencyMs": rows.ms(of.avg_ms),
        "p95LatencyMs": rows.ms(of.p95_ms),
        "p99LatencyMs": rows.ms(of.p99_ms),
    }


def _success(of: queries.Measures) -> float | None:
    return round(1 - of.error_rate, 6) if of.calls else None
