"""Keep what upstreams list: catalogue rows and probe findings, written only where something differs."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import unicodedata
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from namespaces import health
from namespaces.findings import ProbeResult
from namespaces.health import NO_TRAFFIC, Traffic
from namespaces.models import CatalogueEntry, EntryKind, Upstream, UpstreamStatus
from namespaces.tracking import announce_up

logger = logging.getLogger(__name__)

MAX_ENTRIES = 5000  # of one kind and upstream, those no longer listed included
MAX_NAME_BYTES = 2048  # an index row of PostgreSQL takes 2,704 bytes
MAX_DEFINITION_BYTES = 262_144
MAX_DEPTH = 96
_IDENTITY = {EntryKind.RESOURCE: "uri", EntryKind.TEMPLATE: "uriTemplate"}
# Control, format (bidirectional overrides, zero-width), surrogate, unassigned, line and paragraph separators.
_UNFIT = frozenset(("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"))


def is_usable(name: object) -> bool:
    """Return whether a server's name for an entry can be stored, shown and written into a rule."""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME_BYTES or name != name.strip():
        return False
    if any(unicodedata.category(character) in _UNFIT for character in name):
        return False
    return len(name.encode()) <= MAX_NAME_BYTES


def sift(kind: str, items: Iterable[Any], taken: Container[str] = ()) -> tuple[dict[str, dict[str, Any]], int]:
    """Return the usable entries by name, and how many were dropped: no object, unusable or repeated name."""
    member = _IDENTITY.get(EntryKind(kind), "name")
    usable: dict[str, dict[str, Any]] = {}
    dropped = 0
    for item in items:
        name = item.get(member) if isinstance(item, dict) else None
        if not is_usable(name) or name in usable or name in taken:
            dropped += 1
        else:
            usable[str(name)] = item
    return usable, dropped


def observe(upstream_id: int, kind: str, items: list[dict[str, Any]], complete: bool) -> int:
    """Store what an upstream lists of one kind.

    Args: kind: a value of EntryKind; items: entries as the server sent them; complete: whether they are all
    of its entries, so that those missing are marked as gone.
    Returns: how many rows changed. Nothing is written when nothing differs: each write tells every worker.
    """
    usable, dropped = sift(kind, items)
    if dropped:
        logger.warning("dropped unusable catalogue entries", extra={"upstream_id": upstream_id, "dropped": dropped})
    wanted = {name: _row(upstream_id, kind, name, item) for name, item in usable.items()}
    if not any(_difference(wanted, _present(upstream_id, kind), complete)):
        return 0
    with transaction.atomic():
        # One writer an upstream: two workers that see the same new list would otherwise trip over each other.
        if not Upstream.objects.select_for_update(no_key=True).filter(pk=upstream_id).exists():
            return 0
        return _write(upstream_id, kind, wanted, complete)


Known = tuple[int, str, datetime | None]  # row id, digest, when it went


def _present(upstream_id: int, kind: str) -> dict[str, Known]:
    rows = CatalogueEntry.objects.filter(upstream_id=upstream_id, kind=kind)
    return {name: (pk, digest, gone) for pk, name, digest, gone in rows.values_list("pk", "name", "digest", "gone_at")}


def _difference(
    wanted: Mapping[str, CatalogueEntry], present: Mapping[str, Known], complete: bool
) -> tuple[list[str], list[str], list[int]]:
    """Return the names to add, the names to change, and the rows that went."""
    added = [name for name in wanted if name not in present]
    changed = [
        name
        for name, row in wanted.items()
        if name in present and (present[name][1] != row.digest or present[name][2] is not None)
    ]
    gone = [pk for name, (pk, _, at) in present.items() if complete and at is None and name not in wanted]
    return added, changed, gone


def _write(upstream_id: int, kind: str, wanted: Mapping[str, CatalogueEntry], complete: bool) -> int:
    present = _present(upstream_id, kind)
    added, changed, gone = _difference(wanted, present, complete)
    if gone:
        CatalogueEntry.objects.filter(pk__in=gone).update(gone_at=timezone.now())
    for name in changed:
        wanted[name].pk = present[name][0]
    if changed:
        fields = ["title", "description", "definition", "digest", "changed_at", "gone_at"]
        CatalogueEntry.objects.bulk_update([wanted[name] for name in changed], fields, batch_size=500)
    room = _make_room(upstream_id, kind, len(present), len(added))
    if room < len(added):
        logger.warning("catalogue is full", extra={"upstream_id": upstream_id, "dropped": len(added) - room})
    if room:
        CatalogueEntry.objects.bulk_create([wanted[name] for name in added[:room]], batch_size=500)
    return len(gone) + len(changed) + min(room, len(added))


def _make_room(upstream_id: int, kind: str, have: int, more: int) -> int:
    """Return how many of `more` new rows may be added; rows long gone are deleted for them."""
    excess = have + more - MAX_ENTRIES
    if more and excess > 0:
        gone = CatalogueEntry.objects.filter(upstream_id=upstream_id, kind=kind, gone_at__isnull=False)
        oldest = list(gone.order_by("gone_at").values_list("pk", flat=True)[:excess])
        if oldest:
            CatalogueEntry.objects.filter(pk__in=oldest).delete()
        excess -= len(oldest)
    return max(0, more - max(0, excess))


def _row(upstream_id: int, kind: str, name: str, item: Mapping[str, Any]) -> CatalogueEntry:
    definition = _storable(item)
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    if len(text) > MAX_DEFINITION_BYTES:
        definition = {"omitted": f"The definition is {len(text):,} bytes long and is not kept."}
    title, description = _storable(item.get("title")), _storable(item.get("description"))
    return CatalogueEntry(
        upstream_id=upstream_id,
        kind=kind,
        name=name,
        title=title[:500] if isinstance(title, str) else "",
        description=description[:20_000] if isinstance(description, str) else "",
        definition=definition,
        digest=digest,
        changed_at=timezone.now(),
    )


def _storable(value: Any, depth: int = 0) -> Any:
    """Return foreign JSON in a form that jsonb takes: no U+0000, no lone surrogate, finite numbers, bounded depth."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 256 else "a number too large to keep"
    if isinstance(value, float):
        return value if math.isfinite(value) else "a number too large to keep"
    if depth >= MAX_DEPTH:
        return "nested too deeply to keep"
    if isinstance(value, Mapping):
        return {str(_storable(str(key))): _storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item, depth + 1) for item in value]
    return str(_storable(str(value)))


def record_status(upstream: Upstream, result: ProbeResult, traffic: Traffic = NO_TRAFFIC) -> None:
    """Store what a probe found of an upstream's health, now and in its history; its detected era when that differs."""
    found: dict[str, Any] = {
        "checked_at": timezone.now(),
        "ok": result.ok,
        "era": result.era,
        "protocol_version": result.protocol_version[:32],
        "server_name": result.server_name[:200],
        "server_version": result.server_version[:100],
        "latency_ms": result.latency_ms,
        "tool_count": result.tool_count,
        "reason": result.reason[:64],
        "message": " ".join([result.message, *result.notes])[:1000],
    }
    if result.ok and not result.listings:
        # A short check, which asked for no lists.
        del found["tool_count"], found["message"]
    with transaction.atomic():
        fresh = {"checked_at": found["checked_at"], "ok": result.ok}
        status, _ = UpstreamStatus.objects.select_for_update().get_or_create(upstream=upstream, defaults=fresh)
        if result.ok and not status.ok:
            found.setdefault("message", result.message[:1000])  # not that of the failure before
        for name, value in found.items():
            setattr(status, name, value)
        health.note(status, result, traffic, found["checked_at"])
        status.save()
    if result.ok:
        announce_up(upstream.pk)
    if result.era and Upstream.objects.filter(pk=upstream.pk).exclude(detected_era=result.era).exists():
        Upstream.objects.filter(pk=upstream.pk).update(detected_era=result.era)
        upstream.detected_era = result.era


def record(upstream: Upstream, result: ProbeResult, traffic: Traffic = NO_TRAFFIC) -> int:
    """Store a probe's findings, status and catalogue; return how many catalogue rows changed."""
    record_status(upstream, result, traffic)
    return sum(
        observe(upstream.pk, kind, list(listing.items), listing.complete) for kind, listing in result.listings.items()
    )
