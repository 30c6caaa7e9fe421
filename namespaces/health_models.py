"""The health of upstreams over time: runs of equal findings, so that months of checks are a handful of rows."""

from __future__ import annotations

from django.db import models


class Health(models.TextChoices):
    """How an upstream is."""

    ONLINE = "online", "online"
    DEGRADED = "degraded", "degraded"
    OFFLINE = "offline", "offline"
    UNKNOWN = "unknown", "unknown"


class HealthSpan(models.Model):
    """A time during which every check of an upstream found the same.

    A span ends where the next begins; between spans that do not touch nobody looked. Its reason is that of the
    newest check, empty for an upstream that is online.
    """

    upstream = models.ForeignKey("namespaces.Upstream", on_delete=models.CASCADE, related_name="health_spans")
    health = models.CharField(max_length=8, choices=Health.choices)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(help_text="When a check last found it so, or the next one found something else.")
    checks = models.PositiveIntegerField(default=1)
    latency_ms = models.FloatField(null=True, help_text="Of the newest check.")
    reason = models.CharField(max_length=64, blank=True)
    message = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["-began_at"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["upstream", "-began_at"], name="health_span_newest")]
        constraints = [
            models.CheckConstraint(name="health_span_health", condition=models.Q(health__in=Health.values)),
            models.CheckConstraint(name="health_span_order", condition=models.Q(began_at__lte=models.F("ended_at"))),
        ]

    def __str__(self) -> str:
        return f"{self.upstream_id}: {self.health} since {self.began_at:%Y-%m-%d %H:%M:%S}"
