"""The filters beside the list of keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from keys.models import ApiKey, Grant
from namespaces.models import Namespace


class StateFilter(admin.SimpleListFilter):
    """Keys by whether they work."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("active", "active"),
            ("soon", "expiring within 14 days"),
            ("expired", "expired"),
            ("revoked", "revoked"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        now = timezone.now()
        alive = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now))
        conditions = {
            "active": alive,
            "soon": alive & Q(expires_at__lte=now + timedelta(days=14)),
            "expired": Q(revoked_at__isnull=True, expires_at__lte=now),
            "revoked": Q(revoked_at__isnull=False),
        }
        return queryset.filter(conditions[str(self.value())]) if self.value() in conditions else queryset


class ReachFilter(admin.SimpleListFilter):
    """Keys that reach a namespace, by a grant or because they reach all."""

    title = "reaches"
    parameter_name = "reaches"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        slugs = Namespace.objects.order_by("slug").values_list("slug", flat=True)[:200]
        return [(slug, slug) for slug in slugs]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        if not self.value():
            return queryset
        granted = Grant.objects.filter(namespace__slug=self.value()).values("key")
        return queryset.filter(Q(all_namespaces=True) | Q(pk__in=granted))
