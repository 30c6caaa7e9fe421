"""Budgets: how many calls, or bytes of answers, a key, user, team or tool may have a day or a month."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pghistory
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from keys.call_rule import CallRule
from keys.team_models import Team
from namespaces.tracking import audited, notify_trigger
from namespaces.validators import SLUG_PATTERN

MAX_AMOUNT = 10**15


class Measure(models.TextChoices):
    """What a quota adds up."""

    CALLS = "calls", "calls"
    RESPONSE_BYTES = "response_bytes", "bytes of answers"


class Period(models.TextChoices):
    """When a quota begins anew: at midnight or on the first of a month, UTC."""

    DAY = "day", "a day"
    MONTH = "month", "a month"


class Spender(models.TextChoices):
    """Who has a quota for itself."""

    TOGETHER = "together", "all together"
    EACH_KEY = "each_key", "each key by itself"
    EACH_USER = "each_user", "each user by itself"
    EACH_TEAM = "each_team", "each team by itself"


def period_of(period: str, moment: datetime) -> tuple[date, datetime]:
    """Return the first day of the period that holds a moment (UTC), and when the next one begins."""
    day = moment.astimezone(UTC).date()
    if period == Period.MONTH:
        first = day.replace(day=1)
        following = (first + timedelta(days=32)).replace(day=1)
    else:
        first, following = day, day + timedelta(days=1)
    return first, datetime(following.year, following.month, following.day, tzinfo=UTC)


@pghistory.track(*audited())
class Quota(CallRule):
    """A budget, the calls that it is for, and who has one for itself."""

    team = models.ForeignKey(
        Team,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="quotas",
        help_text="Only the calls of this team's keys. Blank: everybody's.",
    )
    counted = models.CharField(
        max_length=10,
        choices=Spender.choices,
        default=Spender.EACH_KEY,
        help_text="Whether everything that the quota is for shares it, or each has as much for itself.",
    )
    measure = models.CharField(max_length=14, choices=Measure.choices, default=Measure.CALLS)
    period = models.CharField(
        max_length=5,
        choices=Period.choices,
        default=Period.DAY,
        help_text="It begins anew at midnight, or on the first of the month, UTC.",
    )
    amount = models.BigIntegerField(
        validators=[MinValueValidator(0), MaxValueValidator(MAX_AMOUNT)],
        help_text="How many calls or bytes. 0: nothing passes.",
    )
    warn_percent = models.PositiveSmallIntegerField(
        "warns at (%)",
        default=80,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="From here on the page of quotas and the log warn.",
    )
    hard = models.BooleanField(
        "stops calls", default=True, help_text="Otherwise calls go on beyond it, and it only warns."
    )

    class Meta(CallRule.Meta):
        constraints = [
            models.CheckConstraint(name="quota_slug_form", condition=models.Q(slug__regex=SLUG_PATTERN)),
            models.CheckConstraint(name="quota_counted", condition=models.Q(counted__in=Spender.values)),
            models.CheckConstraint(name="quota_measure", condition=models.Q(measure__in=Measure.values)),
            models.CheckConstraint(name="quota_period", condition=models.Q(period__in=Period.values)),
            models.CheckConstraint(name="quota_amount", condition=models.Q(amount__gte=0, amount__lte=MAX_AMOUNT)),
            models.CheckConstraint(
                name="quota_warn_percent", condition=models.Q(warn_percent__gte=1, warn_percent__lte=100)
            ),
        ]
        triggers = [notify_trigger()]

    @property
    def unit(self) -> str:
        """What is counted, and how long, such as calls/day."""
        return f"{self.measure}/{self.period}"


class QuotaUseQuerySet(models.QuerySet["QuotaUse"]):
    """Counters of quotas."""

    def ended_by(self, day: date) -> QuotaUseQuerySet:
        """Return those of periods that had ended when `day` began (UTC)."""
        days = models.Q(unit__endswith=f"/{Period.DAY}", begins__lt=day)
        return self.filter(days | models.Q(unit__endswith=f"/{Period.MONTH}", begins__lt=day.replace(day=1)))


class QuotaUse(models.Model):
    """What one spender has had of a quota in one period. It changes all the time and is no configuration.

    `used` holds what workers have leased ahead too, so the truth lies a lease a worker below it at most.
    """

    quota = models.ForeignKey(Quota, on_delete=models.CASCADE, related_name="uses")
    spender = models.CharField(max_length=220, blank=True)  # key:<number>, user:<name>, team:<number>; "": all
    unit = models.CharField(max_length=24)  # what is counted, and how long: calls/day, response_bytes/month …
    begins = models.DateField()
    used = models.BigIntegerField(default=0)

    objects = QuotaUseQuerySet.as_manager()

    class Meta:
        ordering = ["quota", "-begins", "spender"]
        verbose_name = "use of a quota"
        verbose_name_plural = "use of quotas"
        constraints = [models.UniqueConstraint(fields=["quota", "spender", "unit", "begins"], name="quotause_once")]

    def __str__(self) -> str:
        return f"{self.quota_id} {self.spender} {self.begins}: {self.used}"


def forget_uses(day: date, batch: int = 1000) -> int:
    """Delete the counters of periods that had ended when `day` began, and return how many.

    Args: batch: rows of one transaction, so that none holds locks for long.
    """
    forgotten = 0
    while numbers := list(QuotaUse.objects.ended_by(day).order_by().values_list("pk", flat=True)[:batch]):
        forgotten += QuotaUse.objects.filter(pk__in=numbers).delete()[0]
    return forgotten
