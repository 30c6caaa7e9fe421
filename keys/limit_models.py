"""How much may be called: the rate columns of a key and of a grant, and the limits that stand for themselves."""

from __future__ import annotations

import pghistory
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from keys.call_rule import CallRule
from namespaces.tracking import audited, notify_trigger
from namespaces.validators import SLUG_PATTERN

MAX_RPM = 10_000_000
# A sliding window remembers each call that it let in (proxy.limits); beyond this it would need too much memory.
MAX_WINDOW_REQUESTS = 100_000
MAX_WINDOW_S = 86_400
TOO_MANY = f"A sliding window takes at most {MAX_WINDOW_REQUESTS:,} requests; choose the token bucket."


class Algorithm(models.TextChoices):
    """How calls are held against a limit."""

    TOKEN_BUCKET = "token_bucket", "token bucket: a burst at once, then evenly"
    SLIDING_WINDOW = "sliding_window", "sliding window: never more within any window"


class Counted(models.TextChoices):
    """Whose calls a limit adds up."""

    TOGETHER = "together", "all together"
    EACH_KEY = "each_key", "each key by itself"
    EACH_USER = "each_user", "each user by itself"
    EACH_NAMESPACE = "each_namespace", "each namespace by itself"


def _requests(noun: str) -> models.IntegerField:
    return models.IntegerField(
        noun,
        null=True,
        blank=True,
        validators=[MinValueValidator(-1), MaxValueValidator(MAX_RPM)],
        help_text="Blank: no limit. -1: the gateway's default. 0: nothing passes.",
    )


class Burst(models.Model):
    """The columns that every limit has beside its rate."""

    burst = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text="How many calls may come at once before the rate holds. Blank: the gateway's default. A sliding"
        " window has none.",
    )
    algorithm = models.CharField(
        max_length=14,
        blank=True,
        choices=Algorithm.choices,
        help_text="Blank: the gateway's default, which is the token bucket unless a setting says otherwise.",
    )

    class Meta:
        abstract = True


class Limits(Burst):
    """The rate columns shared by a key and a grant. Blank: unlimited; -1: the default; 0: none pass."""

    requests_per_minute = _requests("requests per minute")

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Refuse a sliding window that would have to remember too much."""
        super().clean()
        _check_window(self.algorithm, self.requests_per_minute)


def window_problem(algorithm: str, requests: int | None) -> str | None:
    """Return what is wrong with a limit that leaves too much to remember; None when it is fine."""
    is_large = requests is not None and requests > MAX_WINDOW_REQUESTS
    return TOO_MANY if is_large and algorithm == Algorithm.SLIDING_WINDOW else None


def _check_window(algorithm: str, requests: int | None) -> None:
    if problem := window_problem(algorithm, requests):
        raise ValidationError({"algorithm": problem})


def limit_constraints(table: str, column: str = "requests_per_minute") -> list[models.CheckConstraint]:
    """Return the check constraints for a table with a rate limit in `column`."""
    absent, sliding = models.Q(**{f"{column}__isnull": True}), models.Q(algorithm=Algorithm.SLIDING_WINDOW)
    return [
        models.CheckConstraint(
            name=f"{table}_rpm_range",
            condition=absent | models.Q(**{f"{column}__gte": -1, f"{column}__lte": MAX_RPM}),
        ),
        models.CheckConstraint(name=f"{table}_algorithm", condition=models.Q(algorithm__in=["", *Algorithm.values])),
        models.CheckConstraint(
            name=f"{table}_window_size",
            condition=absent | ~sliding | models.Q(**{f"{column}__lte": MAX_WINDOW_REQUESTS}),
            violation_error_message=TOO_MANY,
        ),
    ]


@pghistory.track(*audited())
class RateLimit(CallRule, Burst):  # noqa: DJ008 - CallRule has it
    """A limit that stands for itself: on everything, or on some calls; counted as it says."""

    counted = models.CharField(
        max_length=14,
        choices=Counted.choices,
        default=Counted.TOGETHER,
        help_text="Whether everything that the limit is for shares it, or each has as much for itself.",
    )
    requests = _requests("requests")
    window_s = models.PositiveIntegerField(
        "seconds",
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_WINDOW_S)],
        help_text="In how many seconds; 60 makes it requests per minute.",
    )

    class Meta(CallRule.Meta):
        constraints = [
            models.CheckConstraint(name="ratelimit_slug_form", condition=models.Q(slug__regex=SLUG_PATTERN)),
            models.CheckConstraint(name="ratelimit_counted", condition=models.Q(counted__in=Counted.values)),
            models.CheckConstraint(
                name="ratelimit_window", condition=models.Q(window_s__gte=1, window_s__lte=MAX_WINDOW_S)
            ),
            *limit_constraints("ratelimit", "requests"),
        ]
        triggers = [notify_trigger()]

    def clean(self) -> None:
        """Refuse a sliding window that would have to remember too much."""
        super().clean()
        _check_window(self.algorithm, self.requests)
