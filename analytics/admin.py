"""The request log in the admin: to read, never to write, and fast however long it is."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics.admin_filters import COUNTED, CappedPaginator, OutcomeFilter, TimeFilter, text_filter
from analytics.models import JournalReject, RequestLog
from keys.models import ApiKey
from keys.redaction import redact
from namespaces.admin_base import GatewayModelAdmin, latency, state
from namespaces.models import Namespace

_OFFERED = 200
_TONES = {"ok": "ok", "tool_error": "warn", "rpc_error": "warn", "limited": "warn", "client_gone": "muted"}
_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _namespaces() -> QuerySet[Any, str]:
    return Namespace.objects.order_by("slug").values_list("slug", flat=True)[:_OFFERED]


def _users() -> QuerySet[Any, str]:
    return ApiKey.objects.order_by("user_id").values_list("user_id", flat=True).distinct()[:_OFFERED]


class ReadOnlyAdmin(GatewayModelAdmin):
    """Shows; adds, changes and deletes nothing, not even for a superuser."""

    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows come from the shipper alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A record is not changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retention drops whole days."""
        return False


def _duration(microseconds: int | None) -> str:
    return latency(None if microseconds is None else microseconds / 1000)


def _size(count: int) -> str:
    return f"{count:,} B"


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnlyAdmin):
    """Calls, newest first. The time filter, the capped count and the indexes keep every page fast."""

    list_display = ("at", "namespace", "user_id", "method", "tool", "result", "reason", "http_status", "total")
    list_filter = (
        TimeFilter,
        OutcomeFilter,
        text_filter("namespace", "namespace", _namespaces),
        text_filter("user_id", "user", _users),
        text_filter("tool", "tool", tuple),
        text_filter("reason", "reason", tuple),
    )
    search_fields = ("request_id",)
    search_help_text = "X-Request-Id of an answer, or the id of a row; found at any age."
    sortable_by = ("at",)
    ordering = ("-at",)
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    fieldsets = (
        ("Call", {"fields": ("time", "namespace", "upstream", "method", "tool")}),
        ("Result", {"fields": ("result", "reason", "http_status", "jsonrpc_code")}),
        ("Caller", {"fields": ("user_id", "key", "client_name", "client_address", "session", "protocol_version")}),
        (
            "Time and size",
            {
                "fields": (
                    *("total", "authentication", "admission", "upstream_time", "first_byte"),
                    *("request_size", "response_size"),
                )
            },
        ),
        ("Identifiers", {"fields": ("id", "request_id", "trace_id")}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RequestLog], search_term: str
    ) -> tuple[QuerySet[RequestLog], bool]:
        """Find a request by its exact id; both columns have an index."""
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        condition = Q(request_id=term)
        if _UUID.fullmatch(term):
            condition |= Q(id=uuid.UUID(term))
        # Looked up first: beside the list's order and limit Postgres might rather walk the log by time.
        found = RequestLog.objects.filter(condition).order_by().values_list("pk", flat=True)[:COUNTED]
        return queryset.filter(pk__in=list(found)), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Say so when there are more rows than are counted."""
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            changelist = response.context_data.get("cl")
            if changelist is not None and changelist.result_count >= COUNTED:
                response.context_data["subtitle"] = (
                    f"The newest {COUNTED:,} of more requests are listed; narrow the filters to see others."
                )
        return response

    @admin.display(description="outcome")
    def result(self, row: RequestLog) -> SafeString:
        return state(_TONES.get(row.outcome, "error"), row.outcome.replace("_", " "))

    @admin.display(description="time")
    def time(self, row: RequestLog) -> str:
        return f"{row.at:%Y-%m-%d %H:%M:%S.%f} UTC"

    @admin.display(description="key")
    def key(self, row: RequestLog) -> SafeString | str:
        if row.key_id is None:
            return "–"
        if not ApiKey.objects.filter(pk=row.key_id).exists():
            return f"#{row.key_id}, deleted since"
        address = reverse("admin:keys_apikey_change", args=[row.key_id])
        return format_html('<a href="{}">{} #{}</a>', address, row.user_id or "key", row.key_id)

    @admin.display(description="total time")
    def total(self, row: RequestLog) -> str:
        return _duration(row.total_us)

    @admin.display(description="time to authentication")
    def authentication(self, row: RequestLog) -> str:
        return _duration(row.auth_us)

    @admin.display(description="time to admission")
    def admission(self, row: RequestLog) -> str:
        return _duration(row.limit_us)

    @admin.display(description="upstream time")
    def upstream_time(self, row: RequestLog) -> str:
        return _duration(row.upstream_us)

    @admin.display(description="time to first byte")
    def first_byte(self, row: RequestLog) -> str:
        return _duration(row.first_byte_us)

    @admin.display(description="request size")
    def request_size(self, row: RequestLog) -> str:
        return _size(row.request_bytes)

    @admin.display(description="response size")
    def response_size(self, row: RequestLog) -> str:
        return _size(row.response_bytes)


@admin.register(JournalReject)
class JournalRejectAdmin(ReadOnlyAdmin):
    """Lines that Postgres refused; normally there are none."""

    list_display = ("at", "error_line", "journal", "position")
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    fields = ("at", "error", "journal", "position", "text")

    @admin.display(description="error")
    def error_line(self, row: JournalReject) -> str:
        return row.error.partition("\n")[0][:200]

    @admin.display(description="line")
    def text(self, row: JournalReject) -> str:
        return redact(bytes(row.line).decode("utf-8", "replace"))[:4000]
