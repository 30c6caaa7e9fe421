"""What is published, in a few words: for the banner of `serve`."""

from __future__ import annotations

from namespaces.models import CatalogueEntry, EntryKind, Namespace

_SHOWN = 8


def namespaces() -> list[str]:
    """Return a line each for the first namespaces: name, how many tools it lets through, its server's health."""
    rows = list(Namespace.objects.filter(enabled=True).select_related("mount__upstream__status")[: _SHOWN + 1])
    lines = [_describe(namespace) for namespace in rows[:_SHOWN]]
    if len(rows) > _SHOWN:
        lines.append(f"… and {Namespace.objects.filter(enabled=True).count() - _SHOWN} more")
    return lines


def _describe(namespace: Namespace) -> str:
    mount = getattr(namespace, "mount", None)
    if mount is None:
        return f"{namespace.slug} (mounts no server yet)"
    status = getattr(mount.upstream, "status", None)
    if status is None:
        return f"{namespace.slug} (not looked at yet)"
    if not status.ok:
        return f"{namespace.slug} ({mount.upstream} is down: {status.reason or status.message})"
    rule = namespace.rule_set().tools
    names = CatalogueEntry.objects.filter(upstream=mount.upstream, kind=EntryKind.TOOL, gone_at=None)
    count = sum(rule.allows(name) for name in names.values_list("name", flat=True))
    return f"{namespace.slug} ({count} tool{'' if count == 1 else 's'}, up)"
