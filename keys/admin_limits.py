"""The admin of rate limits that stand for themselves: on everything, a namespace, a user, a key, or some tools."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from keys.models import Algorithm, RateLimit
from namespaces.admin_base import GatewayModelAdmin, state
from namespaces.rule_form import LinesField

_WINDOWS = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}


class RateLimitForm(forms.ModelForm):
    """A limit; its tools are written one a line."""

    tools = LinesField(
        help_text="Names, one a line; * stands for any text, ? for one character. They count together. Blank: every"
        " request, whatever it asks for."
    )

    class Meta:
        model = RateLimit
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets choose
        widgets = {"description": forms.TextInput(attrs={"class": "vLargeTextField"})}

    def clean_user_id(self) -> str:
        """Return the user as a key has it, without blanks around."""
        return str(self.cleaned_data["user_id"]).strip()


class RateLimitAdmin(GatewayModelAdmin):
    """Rate limits. A key, and a key in one namespace, may have one of its own, which stands on the key."""

    form = RateLimitForm
    list_display = ("slug", "state", "for_what", "counted", "rate", "description")
    list_filter = ("enabled", "counted", "namespace")
    search_fields = ("slug", "description", "user_id", "key__user_id", "namespace__slug")
    search_help_text = "Searches name, description, user and namespace."
    autocomplete_fields = ("key",)
    fieldsets = (
        (None, {"fields": ("slug", "description", "enabled")}),
        (
            "Which calls",
            {
                "fields": ("namespace", "tools", "user_id", "key", "counted"),
                "description": "A call counts against every limit that is for it, and the tightest one decides. A call"
                " that one of them refuses uses up none of the others.",
            },
        ),
        ("How many", {"fields": ("requests", "window_s", "algorithm", "burst")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[RateLimit]:
        """Return limits with what the list shows."""
        return super().get_queryset(request).select_related("namespace", "key")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer namespaces and keys by name, without the buttons to edit them from here."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in ("namespace", "key"):
            widget = field.widget
            widget.can_add_related = widget.can_change_related = False
            widget.can_delete_related = widget.can_view_related = False
        return field

    @admin.display(description="state", ordering="enabled")
    def state(self, limit: RateLimit) -> SafeString:
        return state("ok", "in force") if limit.enabled else state("muted", "off")

    @admin.display(description="for")
    def for_what(self, limit: RateLimit) -> str:
        parts = []
        if limit.tools:
            more = f" and {len(limit.tools) - 3} more" if len(limit.tools) > 3 else ""
            parts.append(f"tools {', '.join(limit.tools[:3])}{more}")
        if limit.namespace is not None:
            parts.append(f"namespace {limit.namespace.slug}")
        if limit.user_id:
            parts.append(f"user {limit.user_id}")
        if limit.key is not None:
            parts.append(f"key {limit.key}")
        return ", ".join(parts) or "every call"

    @admin.display(description="lets pass", ordering="requests")
    def rate(self, limit: RateLimit) -> str:
        if limit.requests is None:
            return "any number"
        if limit.requests == -1:
            return "the default"
        if limit.requests == 0:
            return "nothing"
        sliding = ", sliding" if limit.algorithm == Algorithm.SLIDING_WINDOW else ""
        return f"{limit.requests:,} {_WINDOWS.get(limit.window_s, f'in {limit.window_s} s')}{sliding}"
