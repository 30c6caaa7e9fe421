"""URLs of the analytics API and of its description."""

from __future__ import annotations

from django.urls import path

from analytics.rest.breakdowns import KeysView, NamespacesView, OutcomesView, UpstreamsView
from analytics.rest.calls import CallsView, CallView
from analytics.rest.health import HealthView
from analytics.rest.metrics import MetricsView
from analytics.rest.openapi import DocumentView, RedocScriptView, RedocView, SwaggerView
from analytics.rest.series import PercentilesView, TimeSeriesView
from analytics.rest.summary import SummaryView
from analytics.rest.tools import ToolsView
from analytics.rest.usage import UsageView, UserUsageView

urlpatterns = [
    path("analytics/summary", SummaryView.as_view(), name="summary"),
    path("analytics/usage", UsageView.as_view(), name="usage"),
    # A user's id may hold a slash.
    path("analytics/usage/<path:user_id>", UserUsageView.as_view(), name="usage-of-user"),
    path("analytics/tools", ToolsView.as_view(), name="tools"),
    path("analytics/timeseries", TimeSeriesView.as_view(), name="timeseries"),
    path("analytics/percentiles", PercentilesView.as_view(), name="percentiles"),
    path("analytics/outcomes", OutcomesView.as_view(), name="outcomes"),
    path("analytics/keys", KeysView.as_view(), name="keys-usage"),
    path("analytics/namespaces", NamespacesView.as_view(), name="namespaces-usage"),
    path("analytics/upstreams", UpstreamsView.as_view(), name="upstreams-usage"),
    path("api/v1/health", HealthView.as_view(), name="health"),
    path("api/v1/metrics", MetricsView.as_view(), name="metrics"),
    path("api/v1/requests", CallsView.as_view(), name="requests"),
    path("api/v1/requests/<str:id>", CallView.as_view(), name="request"),
    path("openapi.json", DocumentView.as_view(), name="openapi"),
    path("docs", SwaggerView.as_view(), name="api-docs"),
    path("redoc", RedocView.as_view(), name="api-redoc"),
    path("redoc.js", RedocScriptView.as_view(), name="api-redoc-script"),
]
