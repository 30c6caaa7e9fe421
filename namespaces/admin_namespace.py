"""The admin of namespaces: what is mounted, which names pass, where clients call, and whose keys reach it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from namespaces.addresses import namespace_url
from namespaces.admin_base import GatewayModelAdmin, state, upstream_state
from namespaces.forms import NamespaceForm
from namespaces.models import CatalogueEntry, EntryKind, Mount, Namespace
from namespaces.rule_columns import Mode
from namespaces.rule_form import KINDS, found, rule_fieldsets


class MountInline(admin.StackedInline):
    """The upstream that a namespace publishes."""

    model = Mount
    fields = ("upstream",)
    verbose_name = "published server"
    can_delete = False
    min_num = 1
    extra = 0

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer upstreams by name; a new one can be added in a window of its own."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name == "upstream":
            field.help_text = "Which upstream clients reach through this namespace."
            field.widget.can_change_related = field.widget.can_delete_related = field.widget.can_view_related = False
        return field


class NamespaceAdmin(GatewayModelAdmin):
    """Namespaces."""

    form = NamespaceForm
    inlines = (MountInline,)
    list_display = ("slug", "upstream", "state", "tools_passing", "grants_count", "description")
    list_filter = ("enabled", "tools_mode", "mount__upstream")
    search_fields = ("slug", "description", "mount__upstream__slug")
    actions = ("enable", "disable")
    fieldsets = (
        (None, {"fields": ("slug", "description", "enabled")}),
        *rule_fieldsets(folded=False),  # type: ignore[arg-type]
        ("Addresses", {"fields": ("addresses_mode", "addresses_listed"), "classes": ("collapse",)}),
        (
            "Brakes",
            {
                "classes": ("collapse",),
                "fields": ("identical_calls", "identical_window_s", "progress_extends_total"),
            },
        ),
    )

    class Media:
        js = ("gateway/found.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Namespace]:
        """Return namespaces with what the list shows."""
        found_rows = super().get_queryset(request).select_related("mount__upstream__status")
        return found_rows.annotate(key_count=Count("grants", distinct=True))

    @admin.display(description="upstream", ordering="mount__upstream__slug")
    def upstream(self, namespace: Namespace) -> str | SafeString:
        mount = getattr(namespace, "mount", None)
        if mount is None:
            return "nothing mounted"
        url = reverse("admin:namespaces_upstream_change", args=[mount.upstream_id])
        return format_html('<a href="{}">{}</a>', url, mount.upstream.slug)

    @admin.display(description="state")
    def state(self, namespace: Namespace) -> SafeString:
        mount = getattr(namespace, "mount", None)
        if not namespace.enabled:
            return state("muted", "disabled")
        return upstream_state(mount.upstream) if mount is not None else state("warn", "empty")

    @admin.display(description="keys", ordering="key_count")
    def grants_count(self, namespace: Namespace) -> SafeString:
        return format_html('<span class="number">{}</span>', namespace.key_count)  # type: ignore[attr-defined]

    @admin.display(description="tools")
    def tools_passing(self, namespace: Namespace) -> SafeString:
        mount = getattr(namespace, "mount", None)
        names = tool_names(mount.upstream_id) if mount is not None else []
        rule = namespace.rule_set().tools
        passing = sum(rule.allows(name) for name in names)
        return format_html('<span class="number">{} of {}</span>', passing, len(names))

    def get_urls(self) -> list[URLPattern]:
        names = path("found-names/", self.admin_site.admin_view(self.found_names_view), name="namespaces_found_names")
        return [names, *super().get_urls()]

    def found_names_view(self, request: HttpRequest) -> HttpResponse:
        """Return the checkboxes for an upstream's names, as the page's script asks for them."""
        if not (self.has_view_permission(request) or request.user.has_perm("keys.change_apikey")):
            raise PermissionDenied
        part, name = request.GET.get("part", ""), request.GET.get("name", "")
        if part not in KINDS:
            return HttpResponse("part must be tools, prompts or resources.", status=400, content_type="text/plain")
        upstream_id = _number(request.GET.get("upstream"))
        if namespace_id := _number(request.GET.get("namespace")):
            upstream_id = Mount.objects.filter(namespace=namespace_id).values_list("upstream_id", flat=True).first()
        items = [(item, False) for item in found(upstream_id, part)]
        context = {"name": name, "part": part, "items": items, "is_known": upstream_id is not None}
        return TemplateResponse(request, "admin/found_names_items.html", context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Take over the upstream from the link on its page."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        if upstream_id := _number(request.GET.get("upstream")):
            initial["upstream"] = upstream_id
        return initial

    def get_formset_kwargs(self, request: HttpRequest, obj: Namespace, inline: Any, prefix: str) -> dict[str, Any]:
        """Choose the upstream of the link in the mount of a new namespace."""
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        if request.method == "GET" and obj.pk is None and (upstream_id := _number(request.GET.get("upstream"))):
            kwargs["initial"] = [{"upstream": upstream_id}]
        return kwargs

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the namespace's URL, what clients see of it, and whose keys reach it."""
        panel = self._panel(request, object_id) if request.method == "GET" else {}
        return super().changeform_view(request, object_id, form_url, {**panel, **(extra_context or {})})

    def _panel(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        namespace = self.get_queryset(request).filter(pk=_number(object_id)).first()  # type: ignore[misc]
        if namespace is None:
            return {}
        mount = getattr(namespace, "mount", None)
        names = tool_names(mount.upstream_id) if mount is not None else []
        rule = namespace.rule_set().tools
        return {
            "namespace_url": namespace_url(request, namespace.slug),
            "mounted_upstream": mount.upstream if mount is not None else None,
            "mounted_state": self.state(namespace),
            "tools_total": len(names),
            "tools_seen": [name for name in names if rule.allows(name)],
            "grants": namespace.grants.select_related("key").order_by("key__user_id", "key_id")[:100],
            "issue_url": f"{reverse('admin:keys_apikey_add')}?{urlencode({'namespace': namespace.pk})}",
            "keys_url": f"{reverse('admin:keys_apikey_changelist')}?{urlencode({'reaches': namespace.slug})}",
        }

    def save_model(self, request: HttpRequest, obj: Namespace, form: Any, change: bool) -> None:
        """Save, and say it when a rule lets nothing through, for nothing fails open here."""
        super().save_model(request, obj, form, change)
        if obj.tools_mode == Mode.LISTED and not obj.tools_listed:
            self.message_user(request, "No tool is listed, so clients see no tools at all.", messages.WARNING)

    @admin.action(description="Enable the selected namespaces", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Namespace]) -> None:
        count = Namespace.objects.filter(pk__in=_ids(queryset), enabled=False).update(
            enabled=True, updated_at=timezone.now()
        )
        self.message_user(request, f"{count} enabled.", messages.SUCCESS)

    @admin.action(description="Disable the selected namespaces", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Namespace]) -> HttpResponse | None:
        chosen = Namespace.objects.filter(pk__in=_ids(queryset), enabled=True)
        if "confirmed" in request.POST:
            count = chosen.update(enabled=False, updated_at=timezone.now())
            self.message_user(request, f"{count} disabled.", messages.SUCCESS)
            return None
        counted = chosen.annotate(key_count=Count("grants"))
        return self.confirmation(
            request,
            title="Disable namespaces",
            button="Disable",
            effects=[
                f"/mcp/{namespace.slug} looks as if it did not exist; {namespace.key_count} keys are granted it"
                for namespace in counted
            ]
            or ["All of the selected namespaces are disabled already."],
            action="disable",
            ids=[namespace.pk for namespace in counted],
        )


def tool_names(upstream_id: int) -> list[str]:
    """Return the tools that an upstream lists now."""
    rows = CatalogueEntry.objects.filter(upstream_id=upstream_id, kind=EntryKind.TOOL, gone_at__isnull=True)
    return list(rows.order_by("name").values_list("name", flat=True))


def _ids(queryset: QuerySet[Namespace]) -> list[int]:
    return list(queryset.values_list("pk", flat=True))


def _number(text: str | None) -> int | None:
    """Return a row id from a URL, or None when it is none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else None
