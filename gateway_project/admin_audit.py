"""The page of the audit trail: filters in the URL, read-only, and only the kinds that the reader may see."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse

from gateway_project import audit
from gateway_project.audit_entries import Entry

PAGE = 50
MAX_PAGE = 200  # beyond it, filters find more
OUTSIDE = "outside"
# Rows that have no page of their own lead to the object that they belong to.
PARENT = {
    "keysecret": "apikey",
    "grant": "apikey",
    "upstreamcredential": "upstream",
    "mount": "namespace",
    "teammembership": "team",
    "teamnamespace": "team",
}
# Accounts are tracked through proxies of Django's own models, which hold the rights and the pages.
RIGHTS = {
    "account": "auth.view_user",
    "membership": "auth.view_user",
    "personalright": "auth.view_user",
    "groupright": "auth.view_group",
}


class AuditForm(forms.Form):
    """What to look for."""

    kind = forms.ChoiceField(required=False)
    action = forms.ChoiceField(
        required=False,
        choices=[("", "every action"), ("insert", "added"), ("update", "changed"), ("delete", "deleted")],
    )
    who = forms.ChoiceField(required=False)
    object = forms.RegexField(r"^[0-9]{1,18}$", required=False, widget=forms.HiddenInput)
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    page = forms.IntegerField(required=False, min_value=1, max_value=MAX_PAGE, widget=forms.HiddenInput)

    def __init__(self, data: Any, kinds: dict[str, str]) -> None:
        super().__init__(data)
        users = get_user_model().objects.order_by("username").values_list("pk", "username")[:500]
        self.fields["kind"].choices = [("", "everything"), *kinds.items()]  # type: ignore[attr-defined]
        self.fields["who"].choices = [  # type: ignore[attr-defined]
            ("", "everybody"),
            (OUTSIDE, "outside the gateway"),
            *((str(pk), name) for pk, name in users),
        ]

    def filters(self) -> audit.Filters:
        """Return what the (valid) form asks for."""
        data = self.cleaned_data
        who = data["who"]
        return audit.Filters(
            kind=data["kind"] or None,
            object_id=data["object"] or None,
            user_id=who if who and who != OUTSIDE else None,
            label=data["action"] or None,
            since=datetime.combine(data["since"], time(), UTC) if data["since"] else None,
            outside=who == OUTSIDE,
        )


def visible_kinds(user: AbstractBaseUser) -> dict[str, str]:
    """Return the audited kinds whose objects `user` may view: model name -> name for people."""
    kinds = {}
    for name, model in audit.tracked().items():
        parent = audit.tracked()[PARENT.get(name, name)]
        right = RIGHTS.get(name, f"{parent._meta.app_label}.view_{parent._meta.model_name}")
        if user.has_perm(right):  # type: ignore[attr-defined]
            kinds[name] = str(model._meta.verbose_name)
    return kinds


def audit_trail(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Show changes, the newest first, PAGE at a time."""
    kinds = visible_kinds(request.user)  # type: ignore[arg-type]
    form = AuditForm(request.GET, kinds)
    valid = form.is_valid()
    page = (form.cleaned_data["page"] or 1) if valid else 1
    found = audit.entries(form.filters(), kinds, PAGE + 1, PAGE * (page - 1)) if valid else []
    is_more = len(found) > PAGE and page < MAX_PAGE
    context = {
        **site.each_context(request),
        "title": "Audit trail",
        "form": form,
        "rows": [(entry, _url(site, entry)) for entry in found[:PAGE]],
        "older": urlencode({**request.GET.dict(), "page": page + 1}) if is_more else None,
        "is_filtered": any(value for value in request.GET.values()),
    }
    return TemplateResponse(request, "admin/audit_trail.html", context, status=200 if valid else 400)


def _url(site: AdminSite, entry: Entry) -> str:
    """Return the address of the changed object's page, or nothing for what has none."""
    model = audit.tracked()[entry.kind]
    if entry.kind == "account" and entry.action != "deleted":
        return reverse("admin:auth_user_change", args=[entry.object_id])
    if entry.action == "deleted" or model not in site._registry:
        return ""
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[entry.object_id])
    except NoReverseMatch:
        return ""
