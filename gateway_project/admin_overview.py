"""What the start page of the admin shows: what is up and what is not, and the next step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from analytics.journal import directory_bytes
from analytics.models import JournalFile, RequestLog
from gateway_project import audit
from gateway_project.admin_audit import visible_kinds
from keys.models import ApiKey, KeyUsage
from namespaces.models import Namespace, Upstream

EXPIRING_WITHIN = timedelta(days=14)
PATIENCE_MS = 800  # for counting calls; a start page that hangs helps nobody
MAX_ROWS = 100
RECENT_CHANGES = 8


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the first-run checklist."""

    text: str
    url: str
    done: bool


def overview(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the start page; each block only for those who may view what it shows."""
    may = request.user.has_perm
    context: dict[str, Any] = {}
    if may("namespaces.view_upstream"):
        context["upstreams"] = _upstreams()
    if may("namespaces.view_namespace"):
        context["namespaces"] = Namespace.objects.aggregate(
            total=Count("pk"), enabled=Count("pk", filter=Q(enabled=True, mount__upstream__enabled=True))
        )
    if may("keys.view_apikey"):
        context["keys"] = _keys()
    if may("analytics.view_requestlog"):
        context["calls"] = _calls()
        context["calls_url"] = _address("admin:analytics_requestlog_changelist")
        context["backlog"] = _backlog_bytes()
    context["recent"] = audit.entries(audit.Filters(), visible_kinds(request.user), RECENT_CHANGES)  # type: ignore[arg-type]
    context["steps"] = _steps() if may("namespaces.add_upstream") and may("keys.add_apikey") else []
    return context


def _upstreams() -> dict[str, Any]:
    """Return upstreams, the broken ones first, and how many are in which state."""
    rows = Upstream.objects.select_related("status").prefetch_related("mounts__namespace").order_by("slug")[:MAX_ROWS]
    ordered = sorted(rows, key=lambda row: (_rank(row), row.slug))
    counts = Upstream.objects.aggregate(
        total=Count("pk", filter=Q(enabled=True)),
        up=Count("pk", filter=Q(enabled=True, status__ok=True)),
        down=Count("pk", filter=Q(enabled=True, status__ok=False)),
        untested=Count("pk", filter=Q(enabled=True, status__isnull=True)),
    )
    return {"rows": ordered, **counts, "is_cut": len(ordered) == MAX_ROWS}


def _rank(upstream: Upstream) -> int:
    status = getattr(upstream, "status", None)
    if not upstream.enabled:
        return 3
    if status is None:
        return 1
    return 2 if status.ok else 0


def _keys() -> dict[str, int]:
    now = timezone.now()
    alive = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now))
    return ApiKey.objects.aggregate(
        active=Count("pk", filter=alive),
        soon=Count("pk", filter=alive & Q(expires_at__lte=now + EXPIRING_WITHIN)),
    )


def _calls() -> dict[str, Any] | None:
    """Return the calls of the last hour by how they ended, or None when there are too many to count in time."""
    rows = RequestLog.objects.filter(at__gte=timezone.now() - timedelta(hours=1)).exclude(reason="opened")
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
            found = rows.aggregate(
                total=Count("pk"),
                good=Count("pk", filter=Q(outcome="ok")),
                refused=Count("pk", filter=Q(outcome__in=("denied", "limited", "unauthenticated", "invalid"))),
            )
    except OperationalError:
        return None
    failed = found["total"] - found["good"] - found["refused"]
    share = 100 * failed / found["total"] if found["total"] else 0.0
    return {**found, "failed": failed, "share": f"{share:.3g}"}


def _backlog_bytes() -> int:
    """Return how many bytes of this host's journals are not in the request log yet."""
    shipped = JournalFile.objects.filter(done_at__isnull=True).aggregate(total=Sum("shipped_bytes"))["total"] or 0
    try:
        return max(0, directory_bytes(settings.JOURNAL_DIR) - shipped)
    except OSError:
        return 0


def _steps() -> list[Step]:
    """Return the first-run checklist; empty once everything on it is done."""
    steps = [
        Step(
            "Add the MCP server that you want to publish",
            reverse("admin:namespaces_upstream_add"),
            Upstream.objects.exists(),
        ),
        Step(
            "Test the connection, so that its tools are known",
            reverse("admin:namespaces_upstream_changelist"),
            Upstream.objects.filter(status__ok=True).exists(),
        ),
        Step(
            "Mount it in a namespace and tick the tools that clients may use",
            reverse("admin:namespaces_namespace_add"),
            Namespace.objects.filter(mount__isnull=False).exists(),
        ),
        Step("Issue a key for it", reverse("admin:keys_apikey_add"), ApiKey.objects.exists()),
        Step(
            "Call it: the page of the key has a line to paste", reverse("admin:keys_apikey_changelist"), _was_called()
        ),
    ]
    return [] if all(step.done for step in steps) else steps


def _was_called() -> bool:
    return KeyUsage.objects.exists()


def _address(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
