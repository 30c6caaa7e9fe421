"""Who may call: API keys, their secrets (digests only) and their grants."""

from __future__ import annotations

from datetime import datetime, timedelta

import pghistory
from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models, transaction
from django.utils import timezone

from keys import secrets
from keys.limit_models import MAX_RPM, Algorithm, Counted, Limits, RateLimit, limit_constraints
from keys.quarantine_models import Quarantine, Scope
from keys.quota_models import Measure, Period, Quota, QuotaUse, Spender
from keys.team_models import OVERSEERS, KeyHolder, Membership, Role, Team, TeamNamespace
from namespaces.address_columns import Addresses, address_constraint
from namespaces.models import Namespace
from namespaces.rule_columns import Rules, rule_constraints
from namespaces.tracking import audited, notify_trigger

__all__ = [  # the models of teams, limits and quotas are imported from here too
    "MAX_RPM",
    "OVERSEERS",
    "Algorithm",
    "ApiKey",
    "Counted",
    "Grant",
    "KeyHolder",
    "KeySecret",
    "KeyUsage",
    "Limits",
    "Measure",
    "Membership",
    "Period",
    "Quarantine",
    "Quota",
    "QuotaUse",
    "RateLimit",
    "Role",
    "Scope",
    "Sees",
    "Spender",
    "Team",
    "TeamNamespace",
]


class Sees(models.TextChoices):
    """Whose calls the analytics API shows to the bearer of a key."""

    OWN = "own", "the calls of its own user"
    TEAM = "team", "all calls of its team's namespaces"
    ALL = "all", "everybody's calls"


@pghistory.track(*audited())
class ApiKey(Limits, Addresses):
    """What a client proves itself with. The secret itself is shown once and kept only as digests."""

    user_id = models.CharField(
        "user",
        max_length=200,
        db_index=True,
        help_text="Who calls with this key; the name that analytics show.",
    )
    description = models.CharField(max_length=500, blank=True, help_text="What the key is for, such as “laptop”.")
    all_namespaces = models.BooleanField(
        default=False,
        help_text="Reaches every namespace, present and future. Otherwise only those granted below.",
    )
    team = models.ForeignKey(
        Team,
        null=True,
        blank=True,
        # A team that has keys is not deleted: without it, nothing would end the keys of its members.
        on_delete=models.PROTECT,
        related_name="keys",
        help_text="The team that answers for the key; its admins may revoke it. Blank: no team.",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        # The database does it: a trigger (KeyHolder) revokes the keys of an account that is deleted and lets go of it.
        on_delete=models.DO_NOTHING,
        related_name="api_keys",
        help_text="The account of the person who holds the key. They see the calls of the key's user and may rotate"
        " and revoke the key. It is revoked when their account is disabled or they leave the key's team.",
    )
    sees = models.CharField(
        "sees in analytics",
        max_length=4,
        choices=Sees.choices,
        default=Sees.OWN,
        help_text="Which calls the analytics API shows to whoever has this key.",
    )
    max_concurrency = models.PositiveIntegerField(
        "most calls at once",
        null=True,
        blank=True,
        validators=[MaxValueValidator(60_000)],
        help_text="Calls in flight, over all workers of a host. 0: no limit. Blank: the gateway's default.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="UTC. Blank: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=200, blank=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["user_id", "id"]
        verbose_name = "API key"
        constraints = [
            *limit_constraints("apikey"),
            address_constraint("apikey"),
            models.CheckConstraint(name="apikey_user_present", condition=~models.Q(user_id="")),
            models.CheckConstraint(name="apikey_sees", condition=models.Q(sees__in=Sees.values)),
            models.CheckConstraint(
                name="apikey_sees_a_team",
                condition=~models.Q(sees=Sees.TEAM) | models.Q(team__isnull=False),
                violation_error_message="A key that sees its team's calls needs a team.",
            ),
        ]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return f"{self.user_id} #{self.pk}"

    @property
    def state(self) -> str:
        """One word for lists: active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "active"

    def issue(self, plaintext: str | None = None) -> str:
        """Give the (saved) key a secret and return it; nothing can show it again.

        Args: plaintext: a secret brought from elsewhere; made anew when None.
        Raises IntegrityError when another key has this very secret.
        """
        key = plaintext or secrets.generate()
        pepper = settings.KEY_PEPPERS[0]
        self.secrets.create(
            digest=secrets.digest(key, pepper),
            pepper=secrets.pepper_id(pepper),
            prefix=secrets.shown_prefix(key),
        )
        return key

    def rotate(self, overlap: timedelta = timedelta(hours=24)) -> str:
        """Return a new secret; the present ones work on for `overlap` and then no more. Grants and sessions stay."""
        with transaction.atomic():
            end = timezone.now() + overlap
            self.secrets.filter(models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=end)).update(expires_at=end)
            return self.issue()

    def revoke(self) -> None:
        """End the key for good, in every worker at its next request."""
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at", "updated_at"])


@pghistory.track(*audited(), exclude=["digest"])
class KeySecret(models.Model):
    """The digest of one secret of a key. Two stand side by side while a key is being rotated."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="secrets")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper = models.CharField(max_length=8, editable=False, help_text="Which pepper made the digest.")
    prefix = models.CharField(max_length=16, editable=False, help_text="The beginning of the key, to recognise it by.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def is_usable(self, at: datetime) -> bool:
        """Return whether this secret has not run out at the moment `at`."""
        return self.expires_at is None or self.expires_at > at


@pghistory.track(*audited())
class Grant(Rules, Limits):
    """A key's access to one namespace, with rules and a limit of its own on top of the namespace's."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="grants")
    namespace = models.ForeignKey(Namespace, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        ordering = ["key", "namespace"]
        constraints = [
            models.UniqueConstraint(fields=["key", "namespace"], name="grant_once"),
            *limit_constraints("grant"),
            *rule_constraints("grant"),
        ]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return f"{self.key} → {self.namespace}"


class KeyUsage(models.Model):
    """When a key was last used. A table of its own: it changes all the time and is no configuration."""

    key = models.OneToOneField(ApiKey, on_delete=models.CASCADE, primary_key=True, related_name="usage")
    last_used_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "key usage"

    def __str__(self) -> str:
        return f"{self.key_id} at {self.last_used_at:%Y-%m-%d %H:%M}"
