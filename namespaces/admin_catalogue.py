"""The catalogue in the admin: what servers list, to read only."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from namespaces.admin_base import GatewayModelAdmin, state
from namespaces.models import CatalogueEntry


class ListedFilter(admin.SimpleListFilter):
    """Entries that are listed now, or no longer."""

    title = "listed"
    parameter_name = "listed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "listed now"), ("no", "no longer listed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CatalogueEntry]) -> QuerySet[CatalogueEntry]:
        if self.value() in ("yes", "no"):
            return queryset.filter(gone_at__isnull=self.value() == "yes")
        return queryset


class CatalogueEntryAdmin(GatewayModelAdmin):
    """Tools, prompts, resources and resource templates, as their upstreams last described them."""

    list_display = ("name", "kind", "upstream", "listed", "summary", "changed_on")
    list_filter = ("kind", ListedFilter, "upstream")
    list_select_related = ("upstream",)
    search_fields = ("name", "title", "description")
    fields = (
        "upstream",
        "kind",
        "name",
        "title",
        "text",
        "first_seen_at",
        "changed_at",
        "gone_at",
        "as_sent",
        "digest",
    )
    readonly_fields = ("text", "as_sent")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: CatalogueEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: CatalogueEntry | None = None) -> bool:
        return False

    @admin.display(description="listed", ordering="gone_at")
    def listed(self, entry: CatalogueEntry) -> SafeString:
        return state("ok", "now") if entry.gone_at is None else state("muted", f"until {entry.gone_at:%Y-%m-%d}")

    @admin.display(description="changed", ordering="changed_at")
    def changed_on(self, entry: CatalogueEntry) -> SafeString:
        exact = f"{entry.changed_at:%Y-%m-%d %H:%M:%S} UTC"
        return format_html('<span class="nowrap" title="{}">{}</span>', exact, exact[:10])

    @admin.display(description="description")
    def summary(self, entry: CatalogueEntry) -> str:
        text = entry.description or entry.title
        return text if len(text) <= 120 else text[:119] + "…"

    @admin.display(description="description")
    def text(self, entry: CatalogueEntry) -> SafeString:
        return format_html('<div class="prose">{}</div>', entry.description or "–")

    @admin.display(description="as the server sent it")
    def as_sent(self, entry: CatalogueEntry) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(entry.definition, indent=2, ensure_ascii=False))
