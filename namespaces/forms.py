"""Forms of upstreams, credentials and namespaces in the admin."""

from __future__ import annotations

from typing import Any

from django import forms

from namespaces.fields import Sealed
from namespaces.models import Namespace, Upstream, UpstreamCredential
from namespaces.rule_form import LinesField, RulesForm
from namespaces.validators import validate_header_value

MAX_SECRET_LENGTH = 8192


class UpstreamForm(forms.ModelForm):
    """An upstream; its tags are written one a line."""

    tags = LinesField(
        help_text="Labels for filtering, one a line.",
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField lines"}),
    )

    class Meta:
        model = Upstream
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets choose
        widgets = {
            "url": forms.URLInput(attrs={"class": "vLargeTextField", "spellcheck": "false"}),
            "description": forms.TextInput(attrs={"class": "vLargeTextField"}),
        }


class CredentialForm(forms.ModelForm):
    """A credential whose value is never shown: blank keeps the one that is stored."""

    value = forms.CharField(
        required=False,
        max_length=MAX_SECRET_LENGTH,
        validators=[validate_header_value],
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "class": "vTextField"}),
        help_text="The whole header value, such as “Bearer abc…”.",
    )

    class Meta:
        model = UpstreamCredential
        fields = ("header", "value")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["value"] = ""
        if self.instance.pk is not None:
            self.fields["value"].widget.attrs["placeholder"] = "•••••••• (blank keeps it)"

    def clean_value(self) -> str | Sealed:
        """Return the new value, or the stored one when the field was left blank."""
        value = self.cleaned_data["value"]
        if value:
            return value
        if self.instance.pk is None:
            raise forms.ValidationError("Enter the header's value.", code="required")
        return self.instance.value


def networks_field() -> LinesField:
    """Return the field of `addresses_listed`: networks, one a line."""
    return LinesField(
        label="Listed networks",
        help_text="Networks or single addresses, one a line: 192.0.2.0/24, 2001:db8::/32, 198.51.100.7.",
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField lines", "spellcheck": "false"}),
    )


class NamespaceForm(RulesForm):
    """A namespace with its rules; the names offered are those of the upstream it mounts."""

    addresses_listed = networks_field()

    class Meta:
        model = Namespace
        fields = "__all__"
        widgets = {"description": forms.TextInput(attrs={"class": "vLargeTextField"})}
        help_texts = {"slug": "Clients call /mcp/ and this name. Lower case; tell them before you change it."}

    def upstream_id(self) -> int | None:
        """Return the upstream chosen in the mount on the same page, else the one mounted now."""
        chosen = self.data.get("mount-0-upstream") if self.is_bound else self.initial.get("upstream")
        if chosen is not None:
            return int(chosen) if str(chosen).isascii() and str(chosen).isdecimal() else None
        mount = getattr(self.instance, "mount", None) if self.instance.pk else None
        return mount.upstream_id if mount is not None else None
