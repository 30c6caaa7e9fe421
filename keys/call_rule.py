"""The columns that limits and quotas share: what a rule is called, and which calls it is for."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from namespaces.models import Namespace
from namespaces.validators import validate_patterns, validate_slug


class CallRule(models.Model):
    """A rule for the calls that fit everything it names: namespace, tools, user and key."""

    slug = models.SlugField(
        "name",
        max_length=64,
        unique=True,
        validators=[validate_slug],
        help_text="Short name in lower case, such as search.",
    )
    description = models.CharField(max_length=500, blank=True, help_text="What the rule is for, for other admins.")
    namespace = models.ForeignKey(
        Namespace,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="%(class)ss",
        help_text="Blank: calls in every namespace.",
    )
    tools = ArrayField(
        models.CharField(max_length=512),
        default=list,
        blank=True,
        validators=[validate_patterns],
        help_text="Names, one a line; * stands for any text, ? for one character. They count together. Blank: every"
        " request, whatever it asks for.",
    )
    user_id = models.CharField(
        "user", max_length=200, blank=True, help_text="Only the calls of this user. Blank: everybody's."
    )
    key = models.ForeignKey(
        "keys.ApiKey",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="%(class)ss",
        verbose_name="API key",
        help_text="Only the calls of this key. Blank: every key's.",
    )
    enabled = models.BooleanField(default=True, help_text="A rule that is switched off counts nothing.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug
