"""Teams: who belongs to one, in which role, and which namespaces are its own."""

from __future__ import annotations

import pghistory
import pgtrigger
from django.conf import settings
from django.contrib.auth.models import User
from django.db import models

from namespaces.models import Namespace
from namespaces.tracking import audited
from namespaces.validators import SLUG_PATTERN, validate_slug

# Triggers and not signals: `.update()`, imports and psql count too. The statement triggers of the key tables tell
# the workers, and their row triggers put what happens here on the audit trail.
_REVOKE = "UPDATE keys_apikey SET revoked_at = clock_timestamp(), updated_at = clock_timestamp() WHERE {}; RETURN NULL;"
_REVOKE_OF_MEMBER = _REVOKE.format("team_id = OLD.team_id AND owner_id = OLD.account_id AND revoked_at IS NULL")
_REVOKE_OF_ACCOUNT = _REVOKE.format("owner_id = OLD.id AND revoked_at IS NULL")
_DISOWN = (
    "UPDATE keys_apikey SET owner_id = NULL, revoked_at = COALESCE(revoked_at, clock_timestamp()),"
    " updated_at = clock_timestamp() WHERE owner_id = OLD.id; RETURN OLD;"
)
_TAKE_GRANTS = (
    "DELETE FROM keys_grant g USING keys_apikey k WHERE k.id = g.key_id"
    " AND k.team_id = OLD.team_id AND g.namespace_id = OLD.namespace_id; RETURN NULL;"
)


class Role(models.TextChoices):
    """What a person may do in a team."""

    ADMIN = "admin", "admin: sees the team's calls, manages members and keys"
    AUDITOR = "auditor", "auditor: sees the team's calls"
    MEMBER = "member", "member: sees its own calls"


OVERSEERS = (Role.ADMIN.value, Role.AUDITOR.value)


def _on_leaving(name: str, func: str, *columns: str) -> list[pgtrigger.Trigger]:
    """Return two triggers for a row that goes, or that one of the columns moves elsewhere."""
    return [
        pgtrigger.Trigger(name=f"{name}_on_delete", when=pgtrigger.After, operation=pgtrigger.Delete, func=func),
        pgtrigger.Trigger(
            name=f"{name}_on_move",
            when=pgtrigger.After,
            operation=pgtrigger.Update,
            condition=pgtrigger.AnyChange(*columns),
            func=func,
        ),
    ]


@pghistory.track(*audited())
class Team(models.Model):
    """People who share namespaces, and what their calls look like."""

    slug = models.SlugField(
        "name",
        max_length=64,
        unique=True,
        validators=[validate_slug],
        help_text="Short name in lower case, such as payments. It stands in addresses and configuration files.",
    )
    name = models.CharField("title", max_length=200, blank=True, help_text="How people call the team.")
    description = models.CharField(max_length=500, blank=True, help_text="What the team does, for those who look.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]
        constraints = [models.CheckConstraint(name="team_slug_form", condition=models.Q(slug__regex=SLUG_PATTERN))]

    def __str__(self) -> str:
        return self.slug

    @property
    def title(self) -> str:
        """The name for people, else the short one."""
        return self.name or self.slug


@pghistory.track(*audited())
class Membership(models.Model):
    """A person's place in a team. Who leaves loses the keys that they held for it: a trigger revokes them."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="team_memberships",
        help_text="Who belongs to the team. Removing them revokes the keys that they hold for it.",
    )
    role = models.CharField(
        max_length=8,
        choices=Role.choices,
        default=Role.MEMBER,
        help_text="Admins and auditors see all calls of the team's namespaces, with the addresses of clients.",
    )

    class Meta:
        ordering = ["team", "account"]
        verbose_name = "team membership"
        constraints = [
            models.UniqueConstraint(fields=["team", "account"], name="membership_once"),
            models.CheckConstraint(name="membership_role", condition=models.Q(role__in=Role.values)),
        ]
        triggers = _on_leaving("revoke_keys", _REVOKE_OF_MEMBER, "team", "account")

    def __str__(self) -> str:
        return f"{self.account} in {self.team}"


@pghistory.track(*audited())
class TeamNamespace(models.Model):
    """A namespace that belongs to a team, and to one at most. When it goes, the team's keys lose it: a trigger."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="namespaces")
    namespace = models.OneToOneField(
        Namespace,
        on_delete=models.CASCADE,
        related_name="team_namespace",
        help_text="Members issue keys for it themselves. Taking it away takes it from the team's keys.",
    )

    class Meta:
        ordering = ["team", "namespace"]
        verbose_name = "namespace of a team"
        verbose_name_plural = "namespaces of teams"
        triggers = _on_leaving("take_grants", _TAKE_GRANTS, "team", "namespace")

    def __str__(self) -> str:
        return f"{self.namespace} in {self.team}"


class KeyHolder(User):
    """An account as the holder of keys: they are revoked when it is disabled or deleted, by whatever path."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            pgtrigger.Trigger(
                name="revoke_keys_on_disable",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__is_active=True, new__is_active=False),
                func=_REVOKE_OF_ACCOUNT,
            ),
            pgtrigger.Trigger(
                name="disown_keys_on_delete", when=pgtrigger.Before, operation=pgtrigger.Delete, func=_DISOWN
            ),
        ]
