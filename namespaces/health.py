"""How an upstream is, from its checks and from its traffic; kept as the present status and as a history of spans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from namespaces.findings import ProbeResult
from namespaces.health_models import Health, HealthSpan
from namespaces.models import Upstream, UpstreamStatus

# Passive: so many calls of the last minute or so, and such a share of them failed at the upstream.
FEWEST_CALLS = 5
FAILING_SHARE = 0.2
# A check that is late by this many intervals leaves a gap: nobody knows how the upstream was meanwhile.
LATE_INTERVALS = 3
FEW_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the data plane saw of an upstream lately: calls, and those that failed there (with the commonest reason)."""

    calls: int = 0
    failed: int = 0
    reason: str = ""

    @property
    def is_failing(self) -> bool:
        """Whether too many calls fail for an upstream that is well."""
        return self.calls >= FEWEST_CALLS and self.failed >= FAILING_SHARE * self.calls


NO_TRAFFIC = Traffic()


@dataclass(frozen=True, slots=True)
class Finding:
    """How an upstream is, and why it is not online."""

    health: str
    reason: str = ""
    message: str = ""


def judge(result: ProbeResult, traffic: Traffic) -> Finding:
    """Return what a check and the traffic say together; a check that failed weighs more."""
    if not result.ok:
        return Finding(Health.OFFLINE, result.reason[:64], result.message[:1000])
    if traffic.is_failing:
        message = f"It answers checks, but {traffic.failed} of the last {traffic.calls} calls failed there."
        return Finding(Health.DEGRADED, (traffic.reason or "calls_failing")[:64], message)
    return Finding(Health.ONLINE)


def interval_s(upstream: Upstream) -> float:
    """Return how often an upstream is checked, in seconds; 0 for never."""
    own = upstream.health_interval_s
    return (settings.HEALTH_INTERVAL_S or settings.PROBE_INTERVAL_S) if own is None else own


def note(status: UpstreamStatus, result: ProbeResult, traffic: Traffic, now: datetime | None = None) -> Finding:
    """Write a check down in the history, and what follows from it into `status`, which the caller saves.

    Call it within a transaction that holds the status's row.
    """
    now = now or timezone.now()
    finding = judge(result, traffic)
    longest = timedelta(seconds=max(1.0, interval_s(status.upstream)) * LATE_INTERVALS)
    last = HealthSpan.objects.filter(upstream=status.upstream).order_by("-began_at").first()
    touches = last is not None and now - last.ended_at <= longest
    if last is not None and touches and (last.health, last.reason) == (finding.health, finding.reason):
        last.ended_at, last.checks = max(last.ended_at, now), last.checks + 1
        last.latency_ms, last.message = result.latency_ms, finding.message
        last.save(update_fields=["ended_at", "checks", "latency_ms", "message"])
    else:
        if last is not None and touches:
            # How it was between two checks is what the earlier one found.
            HealthSpan.objects.filter(pk=last.pk).update(ended_at=max(last.began_at, now))
        HealthSpan.objects.create(
            upstream=status.upstream,
            health=finding.health,
            began_at=now,
            ended_at=now,
            latency_ms=result.latency_ms,
            reason=finding.reason,
            message=finding.message,
        )
    if finding.health != status.health:
        status.since = now
    if finding.health == Health.OFFLINE:
        status.failing_checks += 1
    else:
        status.recoveries += bool(status.failing_checks)
        status.failing_checks = 0
    status.health = finding.health
    return finding


def current(upstream: Upstream, now: datetime | None = None) -> str:
    """Return how an upstream is now: unknown when it is disabled, was never checked, or not for a while."""
    status: UpstreamStatus | None = getattr(upstream, "status", None)
    if not upstream.enabled or status is None:
        return Health.UNKNOWN
    every_s = interval_s(upstream)
    late = timedelta(seconds=LATE_INTERVALS * every_s + 30)
    if every_s and (now or timezone.now()) - status.checked_at > late:
        return Health.UNKNOWN
    return status.health


def is_reconnecting(upstream: Upstream) -> bool:
    """Return whether an upstream that has been well fails its first checks: it may be restarting (B.1)."""
    status: UpstreamStatus | None = getattr(upstream, "status", None)
    return (
        current(upstream) == Health.OFFLINE
        and status is not None
        and 0 < status.failing_checks < FEW_FAILURES
        and HealthSpan.objects.filter(upstream=upstream).exclude(health=Health.OFFLINE).exists()
    )


def published() -> dict[str, str]:
    """Return how each upstream is that is enabled and that an enabled namespace mounts."""
    mounted = Upstream.objects.filter(enabled=True, mounts__namespace__enabled=True).select_related("status")
    return {upstream.slug: current(upstream) for upstream in mounted.distinct()}


def forget_before(moment: datetime) -> int:
    """Delete the spans that ended before `moment`; return how many."""
    return HealthSpan.objects.filter(ended_at__lt=moment).delete()[0]


@dataclass(frozen=True, slots=True)
class Uptime:
    """Of a period: seconds that an upstream was in each state, and the share of the known time in which it served."""

    seconds: Mapping[str, float]
    share: float | None


def uptime(spans: list[HealthSpan], since: datetime, until: datetime) -> Uptime:
    """Add up what the spans say of a period; a degraded upstream serves, and unknown time counts for nothing."""
    seconds = dict.fromkeys(Health.values, 0.0)
    for span in spans:
        overlap = (min(span.ended_at, until) - max(span.began_at, since)).total_seconds()
        if overlap > 0:
            seconds[span.health] += overlap
    known = seconds[Health.ONLINE] + seconds[Health.DEGRADED] + seconds[Health.OFFLINE]
    seconds[Health.UNKNOWN] = max(0.0, (until - since).total_seconds() - known)
    return Uptime(seconds, 1 - seconds[Health.OFFLINE] / known if known else None)
