"""How the upstreams are and were, server-rendered: `/dashboard/health/`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString

from analytics.dashboard import formatting, svg
from analytics.dashboard.look import Look
from analytics.dashboard.page import Page
from analytics.dashboard.selection import choice_of
from analytics.dashboard.tables import Cell, Column, Empty, Table, latency_cell, name_cell
from keys.visibility import upstreams_for
from namespaces import circuits, health
from namespaces.health import Health, Uptime
from namespaces.models import HealthSpan, Upstream

# label -> how long, and into how many slots the strip divides it
WINDOWS = {
    "24h": (timedelta(hours=24), 96),
    "7d": (timedelta(days=7), 84),
    "30d": (timedelta(days=30), 90),
}
MAX_UPSTREAMS = 200
MAX_FAILURES = 50
TONES = {Health.ONLINE: "ok", Health.DEGRADED: "warn", Health.OFFLINE: "error", Health.UNKNOWN: "muted"}
# The worse ones win a slot; that nobody looked is told only where nothing else is known.
_WORST = (Health.UNKNOWN, Health.ONLINE, Health.DEGRADED, Health.OFFLINE)


class HealthPage(Page):
    """`/dashboard/health/`: uptime and strip of every upstream that the person may know of, and the last failures."""

    template = "dashboard/health.html"
    has_namespaces = False

    def content(self, look: Look, **names: Any) -> dict[str, Any]:
        """Return the tables; `?window=` chooses the strips' time."""
        window = choice_of(look.request.GET, "window", tuple(WINDOWS), "24h")
        allowed = upstreams_for(look.request.user, look.scope)
        shown = list(allowed.filter(enabled=True).select_related("status").order_by("slug")[: MAX_UPSTREAMS + 1])
        spans = _spans(shown[:MAX_UPSTREAMS], look.reading.now)
        return {
            "upstreams": _upstreams(look, shown, spans, window),
            "failures": _failures(look, allowed),
            "windows": [_window(look, label, label == window) for label in WINDOWS],
            "legend": [{"label": state.label, "drawing": _sample(state)} for state in Health],
        }


def _spans(upstreams: Sequence[Upstream], now: datetime) -> dict[int, list[HealthSpan]]:
    longest = max(length for length, _ in WINDOWS.values())
    found: dict[int, list[HealthSpan]] = {upstream.pk: [] for upstream in upstreams}
    rows = HealthSpan.objects.filter(upstream__in=found, ended_at__gte=now - longest)
    for span in rows.only("upstream_id", "health", "began_at", "ended_at").order_by("began_at"):
        found[span.upstream_id].append(span)
    for upstream in upstreams:
        if found[upstream.pk] and health.current(upstream, now) != Health.UNKNOWN:
            found[upstream.pk][-1].ended_at = now  # so it is until the next check, which is not late yet
    return found


def _window(look: Look, label: str, is_chosen: bool) -> dict[str, Any]:
    query = look.request.GET.copy()
    query["window"] = label
    return {"label": label, "url": f"{look.request.path}?{query.urlencode()}", "is_chosen": is_chosen}


def _sample(state: Health) -> SafeString:
    return svg.health_strip([state], f"sample of {state.label}")


def _upstreams(look: Look, shown: Sequence[Upstream], spans: dict[int, list[HealthSpan]], window: str) -> Table:
    seen = circuits.seen([upstream.pk for upstream in shown])
    rows = [_row(look, upstream, spans[upstream.pk], seen[upstream.pk], window) for upstream in shown[:MAX_UPSTREAMS]]
    uptimes = tuple(Column(label, True, hint=f"Uptime of the last {label}.") for label in WINDOWS)
    return Table(
        "health-upstreams",
        "Upstreams",
        (
            Column("Upstream"),
            Column("State"),
            Column("Since (UTC)"),
            *uptimes,
            Column("Check", True, hint="Round trip of the last check."),
            Column(f"Last {window}"),
        ),
        rows,
        Empty("No namespace that you may use mounts an enabled upstream."),
        note=f"The first {MAX_UPSTREAMS} by name." if len(shown) > MAX_UPSTREAMS else "",
        is_wide=True,
    )


def _row(look: Look, upstream: Upstream, spans: list[HealthSpan], circuit: circuits.Seen, window: str) -> list[Cell]:
    now = look.reading.now
    status = getattr(upstream, "status", None)
    state = Health(health.current(upstream, now))
    since = status.since if status is not None and state != Health.UNKNOWN else None
    uptimes = {label: health.uptime(spans, now - length, now) for label, (length, _) in WINDOWS.items()}
    length, slots = WINDOWS[window]
    summary = _summary(window, uptimes[window])
    strip = svg.health_strip(slots_of(spans, now - length, now, slots), f"{upstream.slug}, {summary}")
    return [
        name_cell(upstream.slug, look.url("upstream", upstream.slug)),
        _state_cell(state, circuit),
        Cell(formatting.moment(since), moment=since.isoformat()) if since else Cell(formatting.NONE, is_quiet=True),
        *(_uptime_cell(uptime) for uptime in uptimes.values()),
        latency_cell(status.latency_ms if status is not None and status.ok else None),
        Cell("", drawing=strip),
    ]


def _state_cell(state: Health, circuit: circuits.Seen) -> Cell:
    """Return the state; where calls are held back from the upstream, that too."""
    if circuit.state == circuits.CLOSED:
        return Cell(state.label, tone=TONES[state])
    words = circuit.state.replace("_", "-")
    hint = f"Calls on this host are refused after {circuit.failures} failures in a row, until some get through."
    return Cell(f"{state.label}, circuit {words}", tone="error", hint=hint)


def _uptime_cell(uptime: Uptime) -> Cell:
    if uptime.share is None:
        return Cell(formatting.NONE, is_number=True, is_quiet=True, hint="Nobody has looked in this time.")
    down = timedelta(seconds=uptime.seconds[Health.OFFLINE])
    hint = f"offline for {formatting.latency(down.total_seconds() * 1000)}" if down else "never offline"
    return Cell(percent_up(uptime.share), is_number=True, hint=hint)


def percent_up(share: float) -> str:
    """Return an uptime in percent, never rounded up: 100 %, 99.95 %, 98.2 %."""
    if share >= 1:
        return f"100{chr(0xA0)}%"
    digits = 2 if share >= 0.99 else 1
    scale = 10**digits
    return f"{int(share * 100 * scale) / scale:.{digits}f}{chr(0xA0)}%"


def _summary(window: str, uptime: Uptime) -> str:
    """Return the strip in words."""
    if uptime.share is None:
        return f"last {window}: nothing known"
    parts = [f"last {window}: up {percent_up(uptime.share)} of the known time"]
    for state in (Health.OFFLINE, Health.DEGRADED, Health.UNKNOWN):
        if uptime.seconds[state] >= 1:
            parts.append(f"{state.label} {formatting.latency(uptime.seconds[state] * 1000)}")
    return ", ".join(parts)


def slots_of(spans: Sequence[HealthSpan], since: datetime, until: datetime, number: int) -> list[str]:
    """Return the worst state of each of `number` equal parts of a time, unknown where nobody looked."""
    width = (until - since) / number
    states: list[str] = [Health.UNKNOWN] * number
    for span in spans:
        if span.ended_at < since or span.began_at >= until:
            continue
        first = max(0, int((span.began_at - since) / width))
        last = min(number - 1, int((min(span.ended_at, until) - since) / width))
        for place in range(first, last + 1):
            states[place] = max(states[place], span.health, key=_WORST.index)  # type: ignore[arg-type]
    return states


def _failures(look: Look, allowed: Any) -> Table:
    """Return the last times that an upstream was not well, with what the checks said."""
    spans = (
        HealthSpan.objects.filter(upstream__in=allowed, health__in=(Health.OFFLINE, Health.DEGRADED))
        .select_related("upstream")
        .order_by("-began_at")[:MAX_FAILURES]
    )
    return Table(
        "health-failures",
        "Last failures",
        (
            Column("Began (UTC)"),
            Column("Upstream"),
            Column("State"),
            Column("Lasted", True),
            Column("Checks", True),
            Column("Reason"),
            Column("What was found"),
        ),
        [_failure(look, span) for span in spans],
        Empty("No upstream has failed as far back as the history goes."),
        note=f"The newest {MAX_FAILURES}." if len(spans) == MAX_FAILURES else "",
        is_wide=True,
    )


def _failure(look: Look, span: HealthSpan) -> list[Cell]:
    # What a check was told may name hosts and paths of the inside: only for those who see everything.
    message = span.message if look.sees_everything or span.health == Health.DEGRADED else ""
    lasted_ms = (span.ended_at - span.began_at).total_seconds() * 1000
    return [
        Cell(formatting.moment(span.began_at), moment=span.began_at.isoformat()),
        name_cell(span.upstream.slug, look.url("upstream", span.upstream.slug)),
        Cell(Health(span.health).label, tone=TONES[Health(span.health)]),
        Cell(formatting.latency(lasted_ms), is_number=True),
        Cell(formatting.count(span.checks), is_number=True),
        Cell(span.reason),
        name_cell(message) if message else Cell(formatting.NONE, is_quiet=True),
    ]
