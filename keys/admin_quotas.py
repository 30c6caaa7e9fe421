"""The admin of quotas: budgets of a day or a month, and how much of each is used up."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from keys.models import Quota, QuotaUse
from keys.quota_models import Measure, Period, period_of
from namespaces.admin_base import GatewayModelAdmin, state
from namespaces.rule_form import LinesField


class QuotaForm(forms.ModelForm):
    """A quota; its tools are written one a line."""

    tools = LinesField(
        help_text="Names, one a line; * stands for any text, ? for one character. They count together. Blank: every"
        " request, whatever it asks for."
    )

    class Meta:
        model = Quota
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets choose
        widgets = {"description": forms.TextInput(attrs={"class": "vLargeTextField"})}

    def clean_user_id(self) -> str:
        """Return the user as a key has it, without blanks around."""
        return str(self.cleaned_data["user_id"]).strip()


class QuotaAdmin(GatewayModelAdmin):
    """Quotas. What is used up stands in the list, and spender by spender on the page of quotas."""

    form = QuotaForm
    list_display = ("slug", "state", "holds", "counted", "spenders", "used", "description")
    list_filter = ("enabled", "measure", "period", "counted", "namespace", "team")
    search_fields = ("slug", "description", "user_id", "key__user_id", "namespace__slug", "team__slug")
    search_help_text = "Searches name, description, user, namespace and team."
    autocomplete_fields = ("key", "team")
    fieldsets = (
        (None, {"fields": ("slug", "description", "enabled")}),
        ("Which calls", {"fields": ("namespace", "tools", "user_id", "key", "team", "counted")}),
        (
            "How much",
            {
                "fields": ("measure", "period", "amount", "warn_percent", "hard"),
                "description": "Another measure or period begins with nothing used.",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Quota]:
        """Return quotas with what the list shows: their counters of the periods that are running."""
        now = timezone.now()
        running = QuotaUse.objects.filter(begins__in={period_of(period, now)[0] for period in Period.values})
        uses = Prefetch("uses", queryset=running, to_attr="running")
        return super().get_queryset(request).select_related("namespace", "team").prefetch_related(uses)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer namespaces, keys and teams by name, without the buttons to edit them from here."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in ("namespace", "key", "team"):
            widget = field.widget
            widget.can_add_related = widget.can_change_related = False
            widget.can_delete_related = widget.can_view_related = False
        return field

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name the quotas alone; their counters go with them and need no rights of their own."""
        to_delete, model_count, _, protected = super().get_deleted_objects(objs, request)
        return [item for item in to_delete if not isinstance(item, list)], model_count, set(), protected

    @admin.display(description="state", ordering="enabled")
    def state(self, quota: Quota) -> SafeString:
        if not quota.enabled:
            return state("muted", "off")
        return state("ok", "in force") if quota.hard else state("warn", "only warns")

    @admin.display(description="holds", ordering="amount")
    def holds(self, quota: Quota) -> str:
        unit = "bytes" if quota.measure == Measure.RESPONSE_BYTES else "calls"
        return f"{quota.amount:,} {unit} a {quota.period}"

    @admin.display(description="spenders")
    def spenders(self, quota: Quota) -> int:
        return len(_running(quota))

    @admin.display(description="used by all of them")
    def used(self, quota: Quota) -> str:
        return f"{sum(use.used for use in _running(quota)):,}"


def _running(quota: Any) -> list[QuotaUse]:
    """Return the counters of the period that is running, of what the quota counts now."""
    begins = period_of(quota.period, timezone.now())[0]
    return [use for use in quota.running if (use.unit, use.begins) == (quota.unit, begins)]
