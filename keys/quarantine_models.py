"""Quarantine: a key, a user, a tool, a namespace or an upstream that is stopped for a while, and why."""

from __future__ import annotations

from datetime import datetime

import pghistory
from django.db import models
from django.utils import timezone

from namespaces.models import Namespace, Upstream
from namespaces.tracking import audited, notify_trigger

MAX_NAME = 2048


class Scope(models.TextChoices):
    """What is quarantined."""

    KEY = "key", "an API key"
    USER = "user", "a user, with all keys"
    TOOL = "tool", "a tool"
    NAMESPACE = "namespace", "a namespace"
    UPSTREAM = "upstream", "an upstream"


# Which fields a scope names its subject with; a tool may be narrowed to a namespace or an upstream besides.
SUBJECT = {
    Scope.KEY: "key",
    Scope.USER: "user_id",
    Scope.TOOL: "tool",
    Scope.NAMESPACE: "namespace",
    Scope.UPSTREAM: "upstream",
}
NARROWS_TOOL = ("namespace", "upstream")


def _condition() -> models.Q:
    """Return the condition that each row names the subject of its scope, and nothing else."""
    blank = {"key": "isnull", "namespace": "isnull", "upstream": "isnull"}
    whole = models.Q()
    for scope, subject in SUBJECT.items():
        row = models.Q(scope=scope)
        for field in SUBJECT.values():
            absent = models.Q(**{f"{field}__isnull": True}) if field in blank else models.Q(**{field: ""})
            if field == subject:
                row &= ~absent
            elif not (scope == Scope.TOOL and field in NARROWS_TOOL):
                row &= absent
        whole |= row
    return whole


class QuarantineQuerySet(models.QuerySet["Quarantine"]):
    """Quarantines."""

    def in_force(self) -> QuarantineQuerySet:
        """Return those whose end has not come."""
        return self.filter(models.Q(ends_at__isnull=True) | models.Q(ends_at__gt=timezone.now()))

    def holds(self, key_id: int, user_id: str) -> bool:
        """Return whether a key or its user is quarantined."""
        return self.in_force().filter(models.Q(key_id=key_id) | models.Q(user_id=user_id, scope=Scope.USER)).exists()


@pghistory.track(*audited())
class Quarantine(models.Model):
    """One switch. Deleting it lifts it; the audit trail keeps both."""

    scope = models.CharField("what", max_length=9, choices=Scope.choices)
    key = models.ForeignKey(
        "keys.ApiKey",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="quarantines",
        verbose_name="API key",
    )
    user_id = models.CharField("user", max_length=200, blank=True)
    tool = models.CharField(
        max_length=MAX_NAME,
        blank=True,
        help_text="Its exact name. Namespace or upstream narrow it; without them it is stopped everywhere.",
    )
    namespace = models.ForeignKey(
        Namespace, null=True, blank=True, on_delete=models.CASCADE, related_name="quarantines"
    )
    upstream = models.ForeignKey(Upstream, null=True, blank=True, on_delete=models.CASCADE, related_name="quarantines")
    reason = models.CharField(
        max_length=300, help_text="Why, in words for the people whose calls fail: they read it in every answer."
    )
    ends_at = models.DateTimeField(null=True, blank=True, help_text="UTC. Blank: until somebody lifts it.")
    set_by = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = QuarantineQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="quarantine_subject",
                condition=_condition(),
                violation_error_message="Name what is quarantined, in the field of that kind, and nothing else.",
            ),
            models.CheckConstraint(name="quarantine_reason_present", condition=~models.Q(reason="")),
        ]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject}"

    @property
    def subject(self) -> str:
        """What is quarantined, by its name."""
        name = str(getattr(self, SUBJECT[Scope(self.scope)]))
        where = [str(part) for part in (self.namespace, self.upstream) if part] if self.scope == Scope.TOOL else []
        return f"{name} in {' and '.join(where)}" if where else name

    def is_in_force(self, at: datetime) -> bool:
        """Return whether it stops calls at the moment `at`."""
        return self.ends_at is None or self.ends_at > at
