"""The admin of API keys: issue (shown once), rotate, revoke, and what each may reach."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from keys import presentation
from keys.admin_filters import ReachFilter, StateFilter
from keys.admin_limits import RateLimitAdmin
from keys.admin_quarantine import QuarantineAdmin
from keys.admin_quotas import QuotaAdmin
from keys.admin_team import TeamAdmin
from keys.forms import ApiKeyForm, GrantForm, RotateForm
from keys.models import ApiKey, Grant, Quarantine, Quota, RateLimit, Sees, Team
from namespaces.admin_base import GatewayModelAdmin, ago, state
from namespaces.rule_form import rule_fieldsets


class GrantInline(admin.StackedInline):
    """The namespaces that a key reaches."""

    model = Grant
    form = GrantForm
    extra = 0
    verbose_name = "namespace"
    verbose_name_plural = "namespaces that the key reaches"
    fieldsets = (
        (None, {"fields": ("namespace",)}),
        *rule_fieldsets(folded=True),  # type: ignore[arg-type]
        ("Limit", {"fields": ("requests_per_minute", "algorithm", "burst"), "classes": ("collapse",)}),
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer namespaces by name, without the buttons to edit them from here."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name == "namespace":
            widget = field.widget
            widget.can_change_related = widget.can_delete_related = widget.can_view_related = False
        return field


class ApiKeyAdmin(GatewayModelAdmin):
    """API keys. The key itself is on the page that answers the issuing, and nowhere else."""

    form = ApiKeyForm
    inlines = (GrantInline,)
    list_display = ("name", "description", "state", "prefixes", "team", "reach", "expires_at", "last_used")
    list_filter = (StateFilter, ReachFilter, ("team", admin.RelatedOnlyFieldListFilter))
    search_fields = ("user_id", "description", "secrets__prefix", "owner__username")
    search_help_text = "Searches user, description, owner and the beginning of the key."
    actions = ("revoke_selected",)
    autocomplete_fields = ("team", "owner")
    fieldsets = (
        (None, {"fields": ("user_id", "description", "expires_at", "all_namespaces")}),
        ("Team and person", {"fields": ("team", "owner", "sees")}),
        ("Addresses", {"fields": ("addresses_mode", "addresses_listed"), "classes": ("collapse",)}),
        (
            "Limit over all namespaces",
            {"fields": ("requests_per_minute", "algorithm", "burst", "max_concurrency"), "classes": ("collapse",)},
        ),
    )

    class Media:
        js = ("gateway/found.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """Return keys with what the list shows."""
        grants = Prefetch("grants", queryset=Grant.objects.select_related("namespace"))
        return super().get_queryset(request).select_related("usage", "team").prefetch_related("secrets", grants)

    @admin.display(description="key", ordering="user_id")
    def name(self, key: ApiKey) -> str:
        return str(key)

    @admin.display(description="state")
    def state(self, key: ApiKey) -> SafeString:
        return state(presentation.TONES[key.state], key.state)

    @admin.display(description="begins with")
    def prefixes(self, key: ApiKey) -> SafeString:
        now = timezone.now()
        return format_html_join(
            ", ", "<code>{}…</code>", ((secret.prefix,) for secret in key.secrets.all() if secret.is_usable(now))
        )

    @admin.display(description="reaches")
    def reach(self, key: ApiKey) -> str:
        return presentation.reach(key)

    @admin.display(description="last used", ordering="usage__last_used_at")
    def last_used(self, key: ApiKey) -> SafeString | str:
        usage = getattr(key, "usage", None)
        return "never" if usage is None else ago(usage.last_used_at)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer teams and accounts without the buttons that would change or delete them from here."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in self.autocomplete_fields:
            widget = field.widget
            widget.can_add_related = widget.can_change_related = False
            widget.can_delete_related = widget.can_view_related = False
        return field

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer everybody's calls to superusers alone."""
        if db_field.name == "sees" and not _may_open_all(request):
            kwargs["choices"] = [choice for choice in Sees.choices if choice[0] != Sees.ALL]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """Let only superusers change what a key sees once that is everybody's calls."""
        closed = obj is not None and obj.sees == Sees.ALL and not _may_open_all(request)
        return (*super().get_readonly_fields(request, obj), *(("sees",) if closed else ()))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:key_id>/rotate/", view(self.rotate_view), name="keys_apikey_rotate"),
            path("<int:key_id>/revoke/", view(self.revoke_view), name="keys_apikey_revoke"),
            *super().get_urls(),
        ]

    def get_formset_kwargs(self, request: HttpRequest, obj: ApiKey, inline: Any, prefix: str) -> dict[str, Any]:
        """Grant a new key the namespace from whose page it is being issued."""
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        chosen = request.GET.get("namespace", "")
        if request.method == "GET" and obj.pk is None and chosen.isascii() and chosen.isdecimal():
            kwargs["initial"] = [{"namespace": int(chosen)}]
        return kwargs

    def get_inline_formsets(self, request: HttpRequest, formsets: Any, inline_instances: Any, obj: Any = None) -> Any:
        """Show one row on a new key, since a key without a grant reaches nothing."""
        if obj is None and request.method == "GET":
            for formset in formsets:
                formset.extra = 1
        return super().get_inline_formsets(request, formsets, inline_instances, obj)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Save; a new key also gets its secret, which stays on this request and goes into one answer."""
        if not change:
            obj.created_by = request.user.get_username()
        super().save_model(request, obj, form, change)
        if not change:
            request.gateway_secret = obj.issue()  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Answer with the page that shows the key."""
        return self._issued(request, obj, request.gateway_secret, "Key issued")  # type: ignore[attr-defined]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a key's secrets by their beginnings, and what may be done with it."""
        key = self.get_object(request, unquote(object_id)) if object_id else None
        panel = {}
        if key is not None:
            panel = {
                "key": key,
                "key_state": self.state(key),
                "key_secrets": _secrets(key),
                "last_used": self.last_used(key),
            }
        return super().changeform_view(request, object_id, form_url, {**panel, **(extra_context or {})})

    def _key(self, request: HttpRequest, key_id: int) -> ApiKey | None:
        key: ApiKey | None = self.get_object(request, str(key_id))
        if key is not None and not self.has_change_permission(request, key):
            raise PermissionDenied
        return key

    def rotate_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        """Ask how long the old secret shall work on; then show the new one, once."""
        key = self._key(request, key_id)
        if key is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(key_id))  # type: ignore[attr-defined]
        if key.sees == Sees.ALL and not _may_open_all(request):
            raise PermissionDenied  # whoever rotates a key holds it
        if key.state != "active":
            self.message_user(request, f"{key} is {key.state}; issue a new key instead.", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:keys_apikey_change", args=[key.pk]))
        form = RotateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            with transaction.atomic():
                secret = key.rotate(form.overlap_time())
                self.log_change(request, key, "Rotated.")
            return self._issued(request, key, secret, "Key rotated")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Rotate key",
            "key": key,
            "form": form,
        }
        return TemplateResponse(request, "admin/keys/apikey/rotate.html", context)

    def revoke_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        """Name what breaks, then revoke."""
        key = self._key(request, key_id)
        if key is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(key_id))  # type: ignore[attr-defined]
        if request.method == "POST" and "confirmed" in request.POST:
            self._revoke(request, [key])
            return HttpResponseRedirect(reverse("admin:keys_apikey_change", args=[key.pk]))
        return self._confirm_revocation(request, [key])

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        keys = list(queryset)
        if "confirmed" not in request.POST:
            return self._confirm_revocation(request, keys)
        self._revoke(request, keys)
        return None

    def _revoke(self, request: HttpRequest, keys: list[ApiKey]) -> None:
        with transaction.atomic():
            for key in keys:
                if key.revoked_at is None:
                    key.revoke()
                    self.log_change(request, key, "Revoked.")
        named = ", ".join(str(key) for key in keys[:5]) + (" and more" if len(keys) > 5 else "")
        self.message_user(request, f"Revoked: {named}. It is refused from its next request on.", messages.SUCCESS)

    def _confirm_revocation(self, request: HttpRequest, keys: list[ApiKey]) -> HttpResponse:
        return self.confirmation(
            request,
            title="Revoke keys" if len(keys) != 1 else "Revoke key",
            button="Revoke for good",
            effects=[presentation.loss(key) for key in keys],
            action="revoke_selected",
            ids=[key.pk for key in keys],
        )

    def _issued(self, request: HttpRequest, key: ApiKey, secret: str, title: str) -> HttpResponse:
        """Return the page that shows a key, once."""
        context = {
            **self.admin_site.each_context(request),
            **presentation.shown_once(request, key, secret),
            "opts": self.opts,
            "title": title,
            "change_url": reverse("admin:keys_apikey_change", args=[key.pk]),
        }
        response = TemplateResponse(request, "admin/keys/apikey/issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name the keys alone; their secrets, grants and usage go with them and need no rights of their own."""
        to_delete, model_count, perms_needed, protected = super().get_deleted_objects(objs, request)
        return [item for item in to_delete if not isinstance(item, list)], model_count, perms_needed, protected


def _may_open_all(request: HttpRequest) -> bool:
    """Return whether the person may give a key the sight of everybody's calls."""
    return bool(getattr(request.user, "is_superuser", False))


def _secrets(key: ApiKey) -> list[Any]:
    """Return a key's secrets, newest first, each with whether it works now."""
    now = timezone.now()
    return [(secret, key.state == "active" and secret.is_usable(now)) for secret in key.secrets.all()]


admin.site.register(ApiKey, ApiKeyAdmin)
admin.site.register(Quarantine, QuarantineAdmin)
admin.site.register(Quota, QuotaAdmin)
admin.site.register(RateLimit, RateLimitAdmin)
admin.site.register(Team, TeamAdmin)
