"""How pages show a key: its state, what it reaches, and what breaks without it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.timesince import timesince

from keys.models import ApiKey, KeySecret
from keys.snippets import Endpoint, snippets
from namespaces.addresses import namespace_url
from namespaces.models import Namespace

TONES = {"active": "ok", "expired": "warn", "revoked": "muted"}
MAX_ENDPOINTS = 20  # in the snippets of one key


def reach(key: ApiKey) -> str:
    """Return what a key reaches, in words."""
    if key.all_namespaces:
        return "all namespaces"
    slugs = sorted(grant.namespace.slug for grant in key.grants.all())
    return ", ".join(slugs[:4]) + (f" and {len(slugs) - 4} more" if len(slugs) > 4 else "") if slugs else "nothing"


def loss(key: ApiKey) -> str:
    """Return what revoking a key breaks, in a sentence or two."""
    if key.revoked_at is not None:
        return f"{key} is revoked already"
    usage = getattr(key, "usage", None)
    used = f"last used {timesince(usage.last_used_at)} ago" if usage is not None else "never used"
    label = f"{key} ({key.description})" if key.description else str(key)
    return f"{label} loses its access to {reach(key)} at its next request; {used}. This cannot be undone."


def live_secrets(key: ApiKey) -> list[KeySecret]:
    """Return the secrets of a key that have not run out."""
    now = timezone.now()
    return [secret for secret in key.secrets.all() if secret.is_usable(now)]


def reached(request: HttpRequest, key: ApiKey) -> list[Endpoint]:
    """Return the enabled namespaces that a key reaches, at most MAX_ENDPOINTS."""
    namespaces = Namespace.objects.filter(enabled=True)
    if not key.all_namespaces:
        namespaces = namespaces.filter(grants__key=key)
    slugs = namespaces.order_by("slug").values_list("slug", flat=True)[:MAX_ENDPOINTS]
    return [Endpoint(slug, namespace_url(request, slug)) for slug in slugs]


def shown_once(request: HttpRequest, key: ApiKey, secret: str) -> dict[str, Any]:
    """Return the context of the only page that ever shows a key. It is not stored, and no cache may keep it."""
    endpoints = reached(request, key)
    return {
        "key": key,
        "secret": secret,
        "endpoints": endpoints,
        "snippets": snippets(secret, endpoints) if endpoints else [],
    }
