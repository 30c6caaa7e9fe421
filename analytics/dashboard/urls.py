"""URLs of the dashboards."""

from __future__ import annotations

from django.urls import path, register_converter

from analytics.dashboard.health import HealthPage
from analytics.dashboard.listing import NamespacesPage, ToolsPage, UpstreamsPage, UsersPage
from analytics.dashboard.live import LivePage
from analytics.dashboard.names import NameConverter, SegmentConverter
from analytics.dashboard.namespace_page import NamespacePage
from analytics.dashboard.overview import OverviewPage
from analytics.dashboard.quotas import QuotasPage
from analytics.dashboard.request_page import RequestPage
from analytics.dashboard.requests_page import RequestsPage
from analytics.dashboard.tool_page import ToolPage
from analytics.dashboard.upstream_page import UpstreamPage
from analytics.dashboard.user_page import KeyPage, UserPage

register_converter(NameConverter, "name")
register_converter(SegmentConverter, "segment")

app_name = "dashboard"
urlpatterns = [
    path("", OverviewPage.as_view(), name="overview"),
    path("namespaces/", NamespacesPage.as_view(), name="namespaces"),
    path("namespaces/<name:namespace>/", NamespacePage.as_view(), name="namespace"),
    path("users/", UsersPage.as_view(), name="users"),
    path("users/<name:user>/", UserPage.as_view(), name="user"),
    path("keys/<int:key>/", KeyPage.as_view(), name="key"),
    path("tools/", ToolsPage.as_view(), name="tools"),
    path("tools/<segment:namespace>/<name:tool>/", ToolPage.as_view(), name="tool"),
    path("upstreams/", UpstreamsPage.as_view(), name="upstreams"),
    path("upstreams/<name:upstream>/", UpstreamPage.as_view(), name="upstream"),
    path("health/", HealthPage.as_view(), name="health"),
    path("requests/", RequestsPage.as_view(), name="requests"),
    path("requests/<uuid:id>/", RequestPage.as_view(), name="request"),
    path("quotas/", QuotasPage.as_view(), name="quotas"),
    path("live/", LivePage.as_view(), name="live"),
]
