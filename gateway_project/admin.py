"""The admin site: stock Django admin with the gateway's start page, navigation, sign-in limit and audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin import AdminSite, autodiscover
from django.core.checks import CheckMessage
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse

from gateway_project import admin_login

# section -> object names of models, in the order of the navigation
SECTIONS = {
    "Servers": ("Upstream", "Namespace", "CatalogueEntry"),
    "Access": ("ApiKey", "RateLimit", "Quota", "Quarantine"),
    "Records": ("RequestLog",),
    "People": ("Team", "User", "Group"),
}


class GatewayAdminSite(AdminSite):
    """The site that every `admin.register` lands on.

    The apps' admin modules are imported with its URLs, not at the start of every process: workers, the shipper and
    most commands never show a page.
    """

    site_title = "MCP gateway"
    site_header = "MCP gateway"
    index_title = "Overview"
    index_template = "admin/overview.html"
    site_url = None
    empty_value_display = "–"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Find the apps' pages, and add the audit trail."""
        autodiscover()
        return [path("audit/", self.admin_view(self.audit_trail), name="audit_trail"), *super().get_urls()]

    def check(self, app_configs: Sequence[AppConfig] | None) -> list[CheckMessage]:
        """Check the apps' pages, which `manage.py check` may ask for before it looks at any URL."""
        autodiscover()
        return super().check(app_configs)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show what is up and what is not."""
        from gateway_project.admin_overview import overview

        return super().index(request, {**overview(request), **(extra_context or {})})

    def audit_trail(self, request: HttpRequest) -> HttpResponse:
        """Show who changed what."""
        from gateway_project.admin_audit import audit_trail

        return audit_trail(self, request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sign in, unless this address or this name has failed too often."""
        refusal = admin_login.refusal(self, request)
        if refusal is not None:
            return refusal
        response = super().login(request, extra_context)
        if request.method == "POST" and not request.user.is_authenticated:
            admin_login.count_failure(request)
        return response

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Return the navigation by what people do rather than by package."""
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        if app_label is not None:
            return apps
        models = {model["object_name"]: model for app in apps for model in app["models"]}
        known = {name for names in SECTIONS.values() for name in names}
        sections = [
            _section(title, [models[name] for name in names if name in models]) for title, names in SECTIONS.items()
        ]
        others = [model for name, model in models.items() if name not in known]
        by_title = {section["name"]: section for section in sections}
        by_title["Records"]["models"] += [*others, _audit_link()]
        return [section for section in sections if section["models"]]


def _section(title: str, models: list[dict[str, Any]]) -> dict[str, Any]:
    url = models[0]["admin_url"] if models else None
    return {"name": title, "app_label": title.lower(), "app_url": url or "", "has_module_perms": True, "models": models}


def _audit_link() -> dict[str, Any]:
    return {
        "name": "Audit trail",
        "object_name": "AuditTrail",
        "admin_url": reverse("admin:audit_trail"),
        "add_url": None,
        "view_only": True,
        "perms": {"view": True},
    }
