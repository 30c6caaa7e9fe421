"""What is published: upstream servers, the namespaces that mount them, their rules and their catalogue."""

from __future__ import annotations

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from namespaces.address_columns import Addresses, address_constraint
from namespaces.fields import EncryptedTextField
from namespaces.health_models import Health, HealthSpan
from namespaces.rule_columns import Rules, rule_constraints
from namespaces.tracking import audited, notify_trigger
from namespaces.validators import (
    SLUG_PATTERN,
    validate_header_name,
    validate_slug,
    validate_upstream_url,
)

__all__ = [
    "CatalogueEntry",
    "ConfigurationChange",
    "EntryKind",
    "Era",
    "Health",
    "HealthSpan",
    "ImportedConfiguration",
    "Mount",
    "Namespace",
    "Transport",
    "Upstream",
    "UpstreamCredential",
    "UpstreamStatus",
]


class ConfigurationChange(models.Model):
    """One row a statement that changed the configuration; workers compare the newest id with theirs."""

    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"change {self.pk}"


class Era(models.TextChoices):
    """Which protocol era an upstream speaks."""

    AUTO = "auto", "find out"
    MODERN = "modern", "2026-07-28 and later (stateless)"
    LEGACY = "legacy", "up to 2025-11-25 (sessions)"


class Transport(models.TextChoices):
    """How the gateway talks to an upstream; only what works is offered."""

    STREAMABLE_HTTP = "streamable-http", "Streamable HTTP"


def _seconds(label: str, help_text: str) -> models.FloatField:
    return models.FloatField(
        label,
        null=True,
        blank=True,
        validators=[MinValueValidator(0.05), MaxValueValidator(86400)],
        help_text=f"{help_text} Seconds; blank means the gateway's default.",
    )


@pghistory.track(*audited(), exclude=["detected_era"])
class Upstream(models.Model):
    """One MCP server that the gateway can forward to."""

    slug = models.SlugField(
        "name",
        max_length=64,
        unique=True,
        validators=[validate_slug],
        help_text="Short name in lower case, such as github. It shows in logs and dashboards.",
    )
    description = models.CharField(max_length=500, blank=True, help_text="What this server is for.")
    transport = models.CharField(max_length=32, choices=Transport.choices, default=Transport.STREAMABLE_HTTP)
    url = models.CharField(
        "URL",
        max_length=2000,
        validators=[validate_upstream_url],
        help_text="The server's MCP endpoint, such as https://mcp.example.com/mcp.",
    )
    era = models.CharField(
        "protocol era",
        max_length=8,
        choices=Era.choices,
        default=Era.AUTO,
        help_text="Leave it at “find out” unless the server answers the probe wrongly.",
    )
    detected_era = models.CharField(max_length=8, blank=True, editable=False)
    connect_timeout_s = _seconds("connect timeout", "How long a connection may take.")
    first_byte_timeout_s = _seconds("first-byte timeout", "How long the server may think before its answer begins.")
    idle_timeout_s = _seconds("idle timeout", "How long an answer may pause.")
    total_timeout_s = _seconds("total timeout", "How long one call may take as a whole.")
    max_response_bytes = models.PositiveBigIntegerField(
        "largest answer",
        null=True,
        blank=True,
        validators=[MinValueValidator(1024)],
        help_text="Bytes; blank means the gateway's default.",
    )
    health_interval_s = models.FloatField(
        "health check every",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(86400)],
        help_text="Seconds between two checks whether the server answers; blank means the gateway's default.",
    )
    max_concurrency = models.PositiveIntegerField(
        "most calls at once",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(60_000)],
        help_text="Calls in flight to this server, over all workers of a host. Blank means the gateway's default.",
    )
    queue_length = models.PositiveIntegerField(
        "queue",
        null=True,
        blank=True,
        validators=[MaxValueValidator(60_000)],
        help_text="How many more calls may wait for one to end. 0: none, they are refused at once."
        " Blank means the gateway's default.",
    )
    queue_wait_s = models.FloatField(
        "wait in the queue",
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001), MaxValueValidator(600)],
        help_text="How long they may wait before they are refused. Seconds; blank means the gateway's default.",
    )
    circuit_breaker_threshold = models.PositiveIntegerField(
        "failures that open the circuit",
        null=True,
        blank=True,
        validators=[MaxValueValidator(10_000)],
        help_text="After so many failures in a row calls are refused at once for a while. 0: never."
        " Blank means the gateway's default.",
    )
    circuit_breaker_timeout = models.FloatField(
        "open for",
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(86400)],
        help_text="How long they are refused, unless a check finds the server well before. Seconds; blank means the"
        " gateway's default.",
    )
    max_retries = models.PositiveIntegerField(
        "retries",
        null=True,
        blank=True,
        validators=[MaxValueValidator(10)],
        help_text="How often a call is sent again that cannot have been run, because no connection was made."
        " Blank means the gateway's default.",
    )
    trust_annotations = models.BooleanField(
        "believe tool annotations",
        default=False,
        help_text="Also repeat calls that broke off or were answered 502 to 504, where the tool calls itself read-only"
        " or idempotent. The server itself says so; believe only one that you trust.",
    )
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True, help_text="Labels, one a line.")
    enabled = models.BooleanField(default=True, help_text="A disabled server answers nobody.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(name="upstream_slug_form", condition=models.Q(slug__regex=SLUG_PATTERN)),
            models.CheckConstraint(name="upstream_url_scheme", condition=models.Q(url__regex=r"^https?://")),
            models.CheckConstraint(name="upstream_era", condition=models.Q(era__in=Era.values)),
            models.CheckConstraint(name="upstream_transport", condition=models.Q(transport__in=Transport.values)),
        ]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return self.slug


@pghistory.track(*audited(), exclude=["value"])
class UpstreamCredential(models.Model):
    """A header that the gateway adds to every request to an upstream; its value is encrypted."""

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="credentials")
    header = models.CharField(
        max_length=100,
        default="Authorization",
        validators=[validate_header_name],
        help_text="Header name, such as Authorization or X-API-Key.",
    )
    value = EncryptedTextField(help_text="The whole header value, such as “Bearer abc…”. Never shown again.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["header"]
        verbose_name = "credential"
        constraints = [
            models.UniqueConstraint(
                models.F("upstream"), models.functions.Lower("header"), name="credential_header_once"
            )
        ]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return f"{self.header}: ••••"


class UpstreamStatus(models.Model):
    """What the last probe of an upstream found. Apart from the upstream, so that a probe is no change of it."""

    upstream = models.OneToOneField(Upstream, on_delete=models.CASCADE, related_name="status")
    checked_at = models.DateTimeField()
    ok = models.BooleanField()
    era = models.CharField(max_length=8, blank=True)
    protocol_version = models.CharField(max_length=32, blank=True)
    server_name = models.CharField(max_length=200, blank=True)
    server_version = models.CharField(max_length=100, blank=True)
    latency_ms = models.FloatField(null=True)
    tool_count = models.PositiveIntegerField(null=True)
    reason = models.CharField(max_length=64, blank=True)
    message = models.CharField(max_length=1000, blank=True)
    health = models.CharField(max_length=8, choices=Health.choices, default=Health.UNKNOWN)
    since = models.DateTimeField(null=True, help_text="Since when it has been so.")
    failing_checks = models.PositiveIntegerField(default=0, help_text="Checks in a row that failed.")
    recoveries = models.PositiveIntegerField(default=0, help_text="How often it came back.")

    class Meta:
        verbose_name_plural = "upstream statuses"

    def __str__(self) -> str:
        return f"{self.upstream_id}: {'up' if self.ok else self.reason}"


@pghistory.track(*audited())
class Namespace(Rules, Addresses):
    """What a client sees at /mcp/<slug>."""

    slug = models.SlugField(
        "name",
        max_length=64,
        unique=True,
        validators=[validate_slug],
        help_text="Clients call /mcp/<name>. Lower case; it cannot be changed without telling them.",
    )
    description = models.CharField(max_length=500, blank=True, help_text="Shown to the people who may use it.")
    identical_calls = models.PositiveIntegerField(
        "identical calls",
        null=True,
        blank=True,
        validators=[MaxValueValidator(1_000_000)],
        help_text="How often a key may call a tool with the very same arguments within the window below. 0: as often"
        " as it likes. Blank means the gateway's default.",
    )
    identical_window_s = models.FloatField(
        "window for identical calls",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(86400)],
        help_text="Seconds from the first of them; blank means the gateway's default.",
    )
    progress_extends_total = models.BooleanField(
        "progress extends the total timeout",
        default=False,
        help_text="A call may last longer than the server's total timeout, as long as the server reports progress.",
    )
    enabled = models.BooleanField(default=True, help_text="A disabled namespace looks as if it did not exist.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(name="namespace_slug_form", condition=models.Q(slug__regex=SLUG_PATTERN)),
            *rule_constraints("namespace"),
            address_constraint("namespace"),
        ]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return self.slug


@pghistory.track(*audited())
class Mount(models.Model):
    """An upstream inside a namespace. One a namespace: the namespace passes that server through."""

    namespace = models.OneToOneField(Namespace, on_delete=models.CASCADE, related_name="mount")
    upstream = models.ForeignKey(Upstream, on_delete=models.PROTECT, related_name="mounts")

    class Meta:
        ordering = ["namespace"]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return f"{self.upstream} in {self.namespace}"


class EntryKind(models.TextChoices):
    """The kinds of things that a server lists."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    TEMPLATE = "template", "resource template"


class CatalogueEntry(models.Model):
    """A tool, prompt, resource or resource template as its upstream last described it.

    Rows are written only when something differs, because each write tells every worker to look again.
    """

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="catalogue")
    kind = models.CharField(max_length=8, choices=EntryKind.choices)
    name = models.CharField(max_length=2048, help_text="Name, URI or URI template.")
    title = models.CharField(max_length=500, blank=True)
    description = models.TextField(blank=True)
    definition = models.JSONField(default=dict, help_text="The entry as the server sent it.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the definition.")
    first_seen_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True, help_text="When the server stopped listing it.")

    class Meta:
        ordering = ["upstream", "kind", "name"]
        verbose_name_plural = "catalogue entries"
        constraints = [models.UniqueConstraint(fields=["upstream", "kind", "name"], name="catalogue_entry_once")]
        triggers = [notify_trigger()]

    def __str__(self) -> str:
        return self.name


class ImportedConfiguration(models.Model):
    """What was last imported from a configuration file, so that an unchanged one is not imported again."""

    source = models.CharField(max_length=4096, unique=True, help_text="The file's absolute path.")
    digest = models.CharField(max_length=64, help_text="HMAC-SHA-256 of the file and of the variables it uses.")
    imported_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["source"]

    def __str__(self) -> str:
        return self.source
