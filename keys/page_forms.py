"""Forms of the pages on which people manage their own keys, and admins of teams their members."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from keys.authentication import live_keys
from keys.models import MAX_RPM, ApiKey, Grant, Role, Team
from namespaces.models import Namespace

MAX_LIVE_KEYS = 50  # of one account; each weighs on every worker's configuration


class IssueForm(forms.Form):
    """A key that a person issues for themselves: some namespaces of one team, for a limited time."""

    namespaces = forms.ModelMultipleChoiceField(
        Namespace.objects.none(),
        to_field_name="slug",
        widget=forms.CheckboxSelectMultiple,
        help_text="What the key reaches. The rules of each namespace hold as for everybody.",
    )
    description = forms.CharField(max_length=500, help_text="What the key is for, such as “laptop”.")
    requests_per_minute = forms.IntegerField(
        label="Most requests a minute",
        required=False,
        min_value=1,
        max_value=MAX_RPM,
        help_text="A limit of your own, on top of what the gateway allows. Blank: none.",
    )

    def __init__(self, account: User, team: Team, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        self.account, self.team = account, team
        offered = Namespace.objects.filter(team_namespace__team=team, enabled=True).order_by("slug")
        longest = settings.SELF_SERVICE_KEY_DAYS
        self.fields["days"] = forms.IntegerField(
            label="Ends after (days)", min_value=1, max_value=longest, initial=longest, help_text=f"At most {longest}."
        )
        self.fields["namespaces"].queryset = offered  # type: ignore[attr-defined]
        self.fields["namespaces"].label_from_instance = _described  # type: ignore[attr-defined]

    def clean_description(self) -> str:
        """Refuse characters that cannot be seen."""
        text = str(self.cleaned_data["description"])
        if not text.isprintable():
            raise forms.ValidationError("The description may hold printable characters only.")
        return text

    def clean(self) -> dict[str, Any]:
        """Refuse a key that would make other people's calls look like one's own, and more keys than anybody needs."""
        if problem := refusal(self.account):
            raise forms.ValidationError(problem)
        return self.cleaned_data

    def save(self) -> ApiKey:
        """Make the key, without a secret yet. To be called in the transaction that has locked the membership."""
        data = self.cleaned_data
        key = ApiKey.objects.create(
            user_id=self.account.get_username(),
            description=data["description"],
            team=self.team,
            owner=self.account,
            expires_at=timezone.now() + timedelta(days=data["days"]),
            requests_per_minute=data["requests_per_minute"],
            created_by=self.account.get_username(),
        )
        Grant.objects.bulk_create(Grant(key=key, namespace=namespace) for namespace in data["namespaces"])
        return key


def refusal(account: User) -> str:
    """Return why an account may not issue a key now, or nothing."""
    name = account.get_username()
    if ApiKey.objects.filter(user_id=name).exclude(owner=account).exists():
        return (
            f"Keys that are not yours call as “{name}” already, so calls of yours could not be told from theirs."
            " Ask an administrator to make you the owner of these keys or to give them another user."
        )
    if live_keys().filter(owner=account).count() >= MAX_LIVE_KEYS:
        return f"You have {MAX_LIVE_KEYS} keys that work. Revoke one that you no longer use first."
    return ""


def _described(namespace: Namespace) -> str:
    return f"{namespace.slug}: {namespace.description}" if namespace.description else namespace.slug


class RoleForm(forms.Form):
    """What a member may do in a team."""

    role = forms.ChoiceField(choices=Role.choices, initial=Role.MEMBER)


class MemberForm(RoleForm):
    """An account to add to a team, by its name."""

    username = forms.CharField(
        label="User name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )
    field_order = ("username", "role")
