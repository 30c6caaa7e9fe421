"""Every URL that Django serves; /mcp never gets here."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.urls import include, path, re_path
from django.views.generic import RedirectView


def no_metadata(request: HttpRequest) -> JsonResponse:
    """Answer the well-known paths in JSON: MCP clients look here for an authorisation server, and there is none."""
    return JsonResponse({"error": "not_found", "message": "No such metadata: use an API key."}, status=404)


urlpatterns = [
    path("", RedirectView.as_view(url="/dashboard/")),
    path("admin/", admin.site.urls),
    path("accounts/", include("gateway_project.accounts")),
    path("dashboard/", include("analytics.dashboard.urls")),
    re_path(r"^\.well-known/", no_metadata),
    path("", include("keys.urls")),
    path("", include("analytics.urls")),
]
# JSON for what asks the REST API, the pages of templates/ for everybody else.
handler400 = "analytics.rest.unknown.bad_request"
handler404 = "analytics.rest.unknown.not_found"
handler500 = "analytics.rest.unknown.server_error"
