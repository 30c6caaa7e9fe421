"""The admin of quarantines: stop a key, a user, a tool, a namespace or an upstream, say why, and lift it again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from keys.models import Quarantine
from namespaces.admin_base import GatewayModelAdmin, ago, state


class QuarantineForm(forms.ModelForm):
    """One switch; the database holds that exactly the field of its kind is filled in."""

    class Meta:
        model = Quarantine
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets choose
        widgets = {"reason": forms.TextInput(attrs={"class": "vLargeTextField"})}

    def clean_user_id(self) -> str:
        """Return the user without blanks around it, as keys have it."""
        return str(self.cleaned_data["user_id"]).strip()

    def clean_reason(self) -> str:
        """Refuse invisible characters: the reason stands in answers and logs."""
        reason = str(self.cleaned_data["reason"]).strip()
        if not reason.isprintable():
            raise forms.ValidationError("The reason may hold printable characters only.")
        return reason

    def clean_ends_at(self) -> datetime | None:
        """Refuse a moment that has passed; ending a quarantine now is lifting it."""
        moment: datetime | None = self.cleaned_data["ends_at"]
        if moment is not None and "ends_at" in self.changed_data and moment <= timezone.now():
            raise forms.ValidationError("This moment has passed. To lift a quarantine now, delete it.", code="past")
        return moment


class InForceFilter(admin.SimpleListFilter):
    """Quarantines by whether they still stop anything."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("on", "in force"), ("over", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Quarantine]) -> QuerySet[Quarantine]:
        running = Q(ends_at__isnull=True) | Q(ends_at__gt=timezone.now())
        return queryset.filter({"on": running, "over": ~running}[str(self.value())]) if self.value() else queryset


class QuarantineAdmin(GatewayModelAdmin):
    """Quarantines. They are in force in every worker at the next call; deleting one lifts it."""

    form = QuarantineForm
    list_display = ("subject", "kind", "state", "reason", "ends_at", "since")
    list_filter = (InForceFilter, "scope")
    list_select_related = ("key", "namespace", "upstream")
    search_fields = ("user_id", "tool", "reason", "key__user_id", "namespace__slug", "upstream__slug")
    search_help_text = "Searches users, tools, keys, namespaces, upstreams and reasons."
    autocomplete_fields = ("key", "namespace", "upstream")
    fieldsets = (
        (None, {"fields": ("scope", "key", "user_id", "tool", "namespace", "upstream")}),
        ("Why and until when", {"fields": ("reason", "ends_at")}),
    )

    @admin.display(description="quarantined")
    def subject(self, quarantine: Quarantine) -> str:
        return quarantine.subject

    @admin.display(description="state")
    def state(self, quarantine: Quarantine) -> SafeString:
        return state("error", "in force") if quarantine.is_in_force(timezone.now()) else state("muted", "over")

    @admin.display(description="what", ordering="scope")
    def kind(self, quarantine: Quarantine) -> str:
        return quarantine.scope

    @admin.display(description="set", ordering="created_at")
    def since(self, quarantine: Quarantine) -> SafeString:
        since = ago(quarantine.created_at)
        return format_html("{} by {}", since, quarantine.set_by) if quarantine.set_by else since

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer keys, namespaces and upstreams without the buttons that would change them from here."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in self.autocomplete_fields:
            widget = field.widget
            widget.can_add_related = widget.can_change_related = False
            widget.can_delete_related = widget.can_view_related = False
        return field

    def save_model(self, request: HttpRequest, obj: Quarantine, form: Any, change: bool) -> None:
        """Save; whoever set it stands beside it."""
        if not change:
            obj.set_by = request.user.get_username()
        super().save_model(request, obj, form, change)
