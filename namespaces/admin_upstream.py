"""The admin of upstreams: what they are, whether they answer, and *Test connection*."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from namespaces import catalogue, circuits
from namespaces.admin_base import GatewayModelAdmin, circuit_state, latency, upstream_state
from namespaces.forms import CredentialForm, UpstreamForm
from namespaces.models import CatalogueEntry, EntryKind, Era, Upstream, UpstreamCredential
from namespaces.probe import ProbeResult, probe_many

MAX_TESTED_AT_ONCE = 50
TOOLS_SHOWN = 200


class StateFilter(admin.SimpleListFilter):
    """Upstreams by what their last test found."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("up", "up"), ("down", "down"), ("untested", "not tested"), ("disabled", "disabled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> QuerySet[Upstream]:
        conditions = {
            "up": Q(enabled=True, status__ok=True),
            "down": Q(enabled=True, status__ok=False),
            "untested": Q(enabled=True, status__isnull=True),
            "disabled": Q(enabled=False),
        }
        return queryset.filter(conditions[str(self.value())]) if self.value() in conditions else queryset


class CredentialInline(admin.TabularInline):
    """The headers that the gateway adds to its requests."""

    model = UpstreamCredential
    form = CredentialForm
    fields = ("header", "value")
    extra = 0


class UpstreamAdmin(GatewayModelAdmin):
    """Upstream servers."""

    form = UpstreamForm
    inlines = (CredentialInline,)
    list_display = ("slug", "host", "protocol", "state", "circuit", "response_time", "tools", "mounted_in")
    list_filter = (StateFilter, "detected_era")
    search_fields = ("slug", "url", "description", "catalogue__name")
    search_help_text = "Searches name, URL, description, and the names of tools, prompts and resources."
    actions = ("test_connection", "enable", "disable")
    fieldsets = (
        (None, {"fields": ("slug", "url", "description", "enabled", "tags")}),
        (
            "Protocol and deadlines",
            {
                "classes": ("collapse",),
                "fields": (
                    "transport",
                    "era",
                    "connect_timeout_s",
                    "first_byte_timeout_s",
                    "idle_timeout_s",
                    "total_timeout_s",
                    "max_response_bytes",
                    "health_interval_s",
                ),
            },
        ),
        (
            "Load and failure",
            {
                "classes": ("collapse",),
                "fields": (
                    "max_concurrency",
                    "queue_length",
                    "queue_wait_s",
                    "circuit_breaker_threshold",
                    "circuit_breaker_timeout",
                    "max_retries",
                    "trust_annotations",
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upstream]:
        """Return upstreams with what the list shows, in two queries."""
        return super().get_queryset(request).select_related("status").prefetch_related("mounts__namespace")

    @admin.display(description="host", ordering="url")
    def host(self, upstream: Upstream) -> str:
        return urlsplit(upstream.url).netloc

    @admin.display(description="protocol")
    def protocol(self, upstream: Upstream) -> SafeString:
        status = getattr(upstream, "status", None)
        era = upstream.detected_era or ("–" if upstream.era == Era.AUTO else upstream.era)
        version = status.protocol_version if status is not None else ""
        return format_html('<span title="{}">{}</span>', version, era)

    @admin.display(description="state", ordering="status__ok")
    def state(self, upstream: Upstream) -> SafeString:
        return upstream_state(upstream)

    @admin.display(description="circuit")
    def circuit(self, upstream: Upstream) -> SafeString:
        return circuit_state(circuits.seen([upstream.pk])[upstream.pk])

    @admin.display(description="latency", ordering="status__latency_ms")
    def response_time(self, upstream: Upstream) -> SafeString:
        status = getattr(upstream, "status", None)
        return format_html('<span class="number">{}</span>', latency(status.latency_ms if status else None))

    @admin.display(description="tools", ordering="status__tool_count")
    def tools(self, upstream: Upstream) -> SafeString:
        status = getattr(upstream, "status", None)
        count = status.tool_count if status else None
        return format_html('<span class="number">{}</span>', "–" if count is None else f"{count:,}")

    @admin.display(description="mounted in")
    def mounted_in(self, upstream: Upstream) -> str | SafeString:
        mounts = list(upstream.mounts.all())
        if not mounts:
            return "nowhere"
        links = (
            (reverse("admin:namespaces_namespace_change", args=[m.namespace_id]), m.namespace.slug) for m in mounts
        )
        return format_html_join(", ", '<a href="{}">{}</a>', links)

    def get_urls(self) -> list[URLPattern]:
        test = path(
            "<int:upstream_id>/test/", self.admin_site.admin_view(self.test_view), name="namespaces_upstream_test"
        )
        return [test, *super().get_urls()]

    def test_view(self, request: HttpRequest, upstream_id: int) -> HttpResponse:
        """Test one upstream as it is stored; for the button on the start page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        upstream = get_object_or_404(Upstream, pk=upstream_id)
        if not self.has_change_permission(request, upstream):
            raise PermissionDenied
        self._test(request, [upstream])
        return HttpResponseRedirect(reverse("admin:index"))

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Save as usual, and test afterwards if asked: outside the transaction, which a slow server must not hold."""
        response = super().changeform_view(request, object_id, form_url, self._panel(object_id, extra_context))
        saved = getattr(request, "gateway_saved", None)
        if saved is not None and "_test" in request.POST and self.has_change_permission(request, saved):
            self._test(request, [saved])
        return response

    def response_add(self, request: HttpRequest, obj: Upstream, post_url_continue: str | None = None) -> HttpResponse:
        """Stay on the page when the connection is to be tested."""
        return super().response_add(self._staying(request, obj), obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Upstream) -> HttpResponse:
        """Stay on the page when the connection is to be tested."""
        return super().response_change(self._staying(request, obj), obj)

    @staticmethod
    def _staying(request: HttpRequest, upstream: Upstream) -> HttpRequest:
        request.gateway_saved = upstream  # type: ignore[attr-defined]
        if "_test" in request.POST:
            post = request.POST.copy()
            post["_continue"] = "1"
            request.POST = post  # type: ignore[assignment]
        return request

    def _panel(self, object_id: str | None, extra: dict[str, Any] | None) -> dict[str, Any]:
        """Return what the change page shows of an upstream's health and catalogue."""
        if object_id is None or not object_id.isdecimal():
            return extra or {}
        entries = CatalogueEntry.objects.filter(upstream_id=object_id, gone_at__isnull=True)
        counts = dict(entries.values_list("kind").annotate(count=Count("pk")).order_by())
        catalogue_url = reverse("admin:namespaces_catalogueentry_changelist")
        circuit = circuits.seen([int(object_id)])[int(object_id)]
        return {
            "counts": {kind.label: counts.get(kind.value, 0) for kind in EntryKind},
            "circuit": circuit,
            "circuit_state": circuit_state(circuit),
            "found_tools": entries.filter(kind=EntryKind.TOOL)[:TOOLS_SHOWN],
            "catalogue_url": f"{catalogue_url}?{urlencode({'upstream__id__exact': object_id})}",
            "mount_url": f"{reverse('admin:namespaces_namespace_add')}?{urlencode({'upstream': object_id})}",
            **(extra or {}),
        }

    def _test(self, request: HttpRequest, upstreams: Sequence[Upstream]) -> None:
        """Probe, store what was found, and say it."""
        for upstream, result in zip(upstreams, probe_many(upstreams), strict=True):
            changed = catalogue.record(upstream, result)
            level = messages.SUCCESS if result.ok else messages.ERROR
            self.message_user(request, finding(upstream, result, changed), level)

    @admin.action(description="Test connection of the selected upstreams", permissions=["change"])
    def test_connection(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> None:
        chosen = list(queryset[: MAX_TESTED_AT_ONCE + 1])
        if len(chosen) > MAX_TESTED_AT_ONCE:
            message = f"At most {MAX_TESTED_AT_ONCE} upstreams are tested at once; select fewer."
            self.message_user(request, message, messages.WARNING)
            return
        self._test(request, chosen)

    @admin.action(description="Enable the selected upstreams", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> None:
        count = queryset.filter(enabled=False).update(enabled=True, updated_at=timezone.now())
        self.message_user(request, f"{count} enabled.", messages.SUCCESS)

    @admin.action(description="Disable the selected upstreams", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> HttpResponse | None:
        chosen = queryset.filter(enabled=True)
        if "confirmed" in request.POST:
            count = chosen.update(enabled=False, updated_at=timezone.now())
            self.message_user(request, f"{count} disabled.", messages.SUCCESS)
            return None
        effects = []
        for upstream in chosen:
            names = ", ".join(f"/mcp/{mount.namespace.slug}" for mount in upstream.mounts.all())
            effects.append(f"{upstream.slug}: " + (f"every call to {names} fails" if names else "no namespace uses it"))
        return self.confirmation(
            request,
            title="Disable upstreams",
            button="Disable",
            effects=effects or ["All of the selected upstreams are disabled already."],
            action="disable",
            ids=[upstream.pk for upstream in chosen],
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Count the catalogue entries instead of naming thousands; deleting them needs no right of its own."""
        to_delete, model_count, perms_needed, protected = super().get_deleted_objects(objs, request)
        perms_needed.discard(str(CatalogueEntry._meta.verbose_name))
        return [_without_catalogue(item) for item in to_delete], model_count, perms_needed, protected


def _without_catalogue(item: Any) -> Any:
    """Cut the nested list of related objects short."""
    if not isinstance(item, list):
        return item
    shown = [_without_catalogue(part) for part in item if "atalogue entry" not in str(part)]
    return [part for part in shown if part != []]


def finding(upstream: Upstream, result: ProbeResult, changed: int) -> str:
    """Return one sentence or two about a test's result."""
    if not result.ok:
        return f"Upstream {upstream.slug} is not usable. {result.message}"
    server = " ".join(part for part in (result.server_name, result.server_version) if part) or "a server without a name"
    parts = [
        f"Upstream {upstream.slug} is up: {server}, {result.era} era ({result.protocol_version}), "
        f"{latency(result.latency_ms)}, {result.message}"
    ]
    if changed:
        parts.append(f"{changed} catalogue {'entry' if changed == 1 else 'entries'} changed.")
    return " ".join([*parts, *result.notes])
