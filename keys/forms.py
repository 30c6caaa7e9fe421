"""Forms of keys, their grants, and their rotation in the admin."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from keys.models import ApiKey, Grant
from namespaces.forms import networks_field
from namespaces.models import Mount
from namespaces.rule_form import RulesForm

LONGEST_LIFE = timedelta(days=36525)
OVERLAPS = {
    "0": "at once: the old secret stops working now",
    "1": "after 1 hour",
    "24": "after 24 hours",
    "168": "after 7 days",
}


class ApiKeyForm(forms.ModelForm):
    """A key: whose it is, how long it lives, how much it may call, and from where."""

    addresses_listed = networks_field()

    class Meta:
        model = ApiKey
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets choose
        widgets = {"description": forms.TextInput(attrs={"class": "vLargeTextField"})}

    def clean_user_id(self) -> str:
        """Return the user without blanks around it and without invisible characters."""
        user = str(self.cleaned_data["user_id"]).strip()
        if not user.isprintable():
            raise forms.ValidationError("The user may hold printable characters only.")
        return user

    def clean_expires_at(self) -> datetime | None:
        """Refuse a moment that has passed; ending a key is called revoking."""
        moment: datetime | None = self.cleaned_data["expires_at"]
        if moment is None or "expires_at" not in self.changed_data:
            return moment
        if moment <= timezone.now():
            raise forms.ValidationError("This moment has passed. To end a key now, revoke it.", code="past")
        if moment > timezone.now() + LONGEST_LIFE:
            raise forms.ValidationError("This is more than 100 years away; leave it blank for “never”.", code="far")
        return moment


class GrantForm(RulesForm):
    """Access to one namespace, with rules on top of the namespace's own."""

    source = "namespace"

    class Meta:
        model = Grant
        fields = "__all__"

    def upstream_id(self) -> int | None:
        """Return the upstream behind the namespace chosen in this row."""
        chosen: Any = self.instance.namespace_id or self.initial.get("namespace")
        if self.is_bound:
            chosen = self.data.get(self.add_prefix("namespace"))
        if not chosen or not str(chosen).isascii() or not str(chosen).isdecimal():
            return None
        return Mount.objects.filter(namespace=int(chosen)).values_list("upstream_id", flat=True).first()


class RotateForm(forms.Form):
    """How long the old secret of a rotated key goes on working."""

    overlap = forms.ChoiceField(
        choices=list(OVERLAPS.items()),
        initial="24",
        widget=forms.RadioSelect,
        label="The present secret ends",
        help_text="Both secrets work until then, so that clients can be changed one after the other.",
    )

    def overlap_time(self) -> timedelta:
        """Return the chosen overlap."""
        return timedelta(hours=int(self.cleaned_data["overlap"]))
