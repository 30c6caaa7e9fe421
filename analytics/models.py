"""What happened: the request log, and the shipper's own book-keeping. Written by the shipper alone."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now


def _text(label: str, help_text: str = "") -> models.TextField[Any, Any]:
    """Return a column that is NULL, not empty, where a record has no value: COPY and the indexes rely on it."""
    return models.TextField(label, null=True, blank=True, help_text=help_text)


def _number(label: str, help_text: str = "") -> models.BigIntegerField[Any, Any]:
    return models.BigIntegerField(label, null=True, blank=True, help_text=help_text)


class RequestLog(models.Model):
    """One call, refusal, or opening or closing of a stream; the fields are those of RequestRecord.

    The table is partitioned by day of `at` (UTC), which the migration does in SQL together with its indexes. The
    database's primary key is (id, at); Django is told of `id` alone, which is as unique.
    """

    id = models.UUIDField(primary_key=True)
    at = models.DateTimeField("time", help_text="When the request began (UTC).")
    namespace = _text("namespace", "As the client asked for it, known or not.")
    upstream = _text("upstream")
    key_id = _number("key", "Number of the API key.")
    user_id = _text("user")
    method = _text("method")
    tool = _text("tool", "Name of the tool or prompt, or URI of the resource.")
    outcome = models.TextField("outcome")
    reason = _text("reason", "Refines the outcome; an error answer carries the same code.")
    http_status = models.IntegerField("HTTP status")
    jsonrpc_code = models.IntegerField("JSON-RPC code", null=True, blank=True)
    total_us = models.BigIntegerField("total time", help_text="Microseconds.")
    upstream_us = _number("upstream time", "Microseconds.")
    first_byte_us = _number("time to first byte", "Microseconds until the upstream's answer began.")
    request_bytes = models.BigIntegerField("request size", help_text="Bytes of the body.")
    response_bytes = models.BigIntegerField("response size", help_text="Bytes of the body.")
    protocol_version = _text("protocol version")
    client_name = _text("client")
    session = _text("session", "A hash; the session's id itself is not kept.")
    client_address = _text("client address")
    request_id = _text("request id", "X-Request-Id of the answer.")
    trace_id = _text("trace id")
    auth_us = _number("time to authentication", "Microseconds until the caller was known.")
    limit_us = _number("time to admission", "Microseconds until rules and limits had let the call pass.")

    class Meta:
        ordering = ["-at"]
        verbose_name = "request"
        verbose_name_plural = "request log"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.method or 'request'} at {self.at:%Y-%m-%d %H:%M:%S}"


class JournalFile(models.Model):
    """How far a journal file has been shipped. In one transaction with its rows, so nothing is lost or doubled."""

    id = models.UUIDField(primary_key=True, help_text="The file's name.")
    shipped_bytes = models.BigIntegerField(db_default=0)
    rejected = models.BigIntegerField(db_default=0, help_text="Lines that Postgres refused.")
    created_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True, help_text="When the whole file was shipped; it is removed then.")

    class Meta:
        ordering = ["-created_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.id)


class JournalReject(models.Model):
    """A journal line that Postgres refused, kept as it was."""

    journal = models.UUIDField("journal file")
    position = models.BigIntegerField(help_text="Offset of the line in its file, in bytes.")
    line = models.BinaryField()
    error = models.TextField(help_text="What Postgres said.")
    at = models.DateTimeField("time", db_default=Now())

    class Meta:
        ordering = ["-id"]
        verbose_name = "rejected journal line"
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["journal", "position"], name="journal_reject_once")]

    def __str__(self) -> str:
        return f"{self.journal} at byte {self.position}"
