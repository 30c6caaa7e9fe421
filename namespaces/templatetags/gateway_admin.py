"""What the admin's templates need from Python: states and latencies."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.safestring import SafeString

from namespaces import admin_base
from namespaces.models import Upstream

register = template.Library()


@register.simple_tag
def upstream_state(upstream: Upstream) -> SafeString:
    """Return the dot and word of an upstream's state."""
    return admin_base.upstream_state(upstream)


@register.simple_tag
def state(tone: str, word: str) -> SafeString:
    """Return a dot with a word; `tone` is ok, warn, error or muted."""
    return admin_base.state(tone, word)


@register.filter
def latency(milliseconds: float | str | None) -> str:
    """Return a latency with its unit; a template hands over an empty text where there is no status at all."""
    return admin_base.latency(None if isinstance(milliseconds, str) else milliseconds)


@register.filter
def ago(moment: datetime) -> SafeString:
    """Return how long ago a moment was."""
    return admin_base.ago(moment)
