"""The admin of teams: their members, their namespaces, and who answers for which keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest

from keys.models import Membership, Team, TeamNamespace
from namespaces.admin_base import GatewayModelAdmin

TAKEN = "This namespace belongs to a team already. Take it from there first."


class TeamNamespaceForm(forms.ModelForm):
    """A namespace of a team."""

    class Meta:
        model = TeamNamespace
        fields = ("namespace",)
        error_messages = {"namespace": {"unique": TAKEN}}


class LinkInline(admin.TabularInline):
    """A row that ties something to the team; what it ties is edited on its own page."""

    extra = 0

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave out the buttons that edit the other end from here."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in self.autocomplete_fields:
            widget = field.widget
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        return field


class MembershipInline(LinkInline):
    """The people of a team."""

    model = Membership
    autocomplete_fields = ("account",)
    fields = ("account", "role")
    verbose_name = "member"
    verbose_name_plural = "members"


class TeamNamespaceInline(LinkInline):
    """The namespaces of a team."""

    model = TeamNamespace
    form = TeamNamespaceForm
    autocomplete_fields = ("namespace",)
    verbose_name = "namespace"
    verbose_name_plural = "namespaces that belong to the team"


class TeamAdmin(GatewayModelAdmin):
    """Teams. One that has keys cannot be deleted: revoke and delete its keys, or give them to another team, first."""

    inlines = (MembershipInline, TeamNamespaceInline)
    list_display = ("slug", "name", "people", "owned", "live_keys")
    search_fields = ("slug", "name", "memberships__account__username")
    search_help_text = "Searches name, title and members."
    fieldsets = ((None, {"fields": ("slug", "name", "description")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        """Return teams with what the list shows."""
        owned = Prefetch("namespaces", queryset=TeamNamespace.objects.select_related("namespace"))
        return (
            super()
            .get_queryset(request)
            .prefetch_related(owned)
            .annotate(
                member_count=Count("memberships", distinct=True),
                key_count=Count("keys", filter=Q(keys__revoked_at__isnull=True), distinct=True),
            )
        )

    @admin.display(description="members", ordering="member_count")
    def people(self, team: Any) -> int:
        return int(team.member_count)

    @admin.display(description="namespaces")
    def owned(self, team: Team) -> str:
        slugs = sorted(one.namespace.slug for one in team.namespaces.all())
        return ", ".join(slugs[:4]) + (f" and {len(slugs) - 4} more" if len(slugs) > 4 else "") or "none"

    @admin.display(description="keys not revoked", ordering="key_count")
    def live_keys(self, team: Any) -> int:
        return int(team.key_count)
