"""What the admin's templates need from Python: states and latencies."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

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
    """Return how long ago a moment was, with the moment itself (UTC) on hover."""
    text = "just now" if timezone.now() - moment < timedelta(minutes=1) else f"{timesince(moment)} ago"
    exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, text)
