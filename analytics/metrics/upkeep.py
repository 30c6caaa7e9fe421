"""What the database and the journal say of the gateway itself: lags, what waits, and the last hour's latencies."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from analytics import journal, queries, rollups
from analytics.models import JournalFile
from analytics.queries import Measures
from keys.visibility import Scope
from namespaces import circuits, health
from namespaces.health import Health
from namespaces.models import Upstream

# B.7's gauges and /api/v1/metrics look back equally far.
WINDOW = timedelta(hours=1)
_CIRCUITS = (circuits.CLOSED, circuits.OPEN, circuits.HALF_OPEN)  # C.4's numbers


@dataclass(frozen=True, slots=True)
class UpstreamFigures:
    """What the checks say of an enabled upstream, and its circuit on this host."""

    slug: str
    health: str
    ping_ms: float | None
    failing_checks: int
    recoveries: int
    circuit: str


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """What only the database knows. `shipped` is how far each journal file is shipped, in bytes."""

    shipped: dict[UUID, int]
    upstreams: Sequence[UpstreamFigures]
    rollup_lag_s: float | None
    last_hour: Measures


def read_database() -> DatabaseFigures:
    """Ask the database. Blocking; raises django.db.Error when it is away."""
    shipped = dict(JournalFile.objects.order_by().values_list("id", "shipped_bytes"))
    lag_s = rollups.lag_s(connection)
    with queries.reading() as reading:
        view = queries.View(reading.now - WINDOW, reading.now, Scope())
        last_hour = queries.totals(reading, view)
    checked = list(Upstream.objects.filter(enabled=True).select_related("status").order_by("slug"))
    seen = circuits.seen([upstream.pk for upstream in checked])
    figures = [_figures(upstream, seen[upstream.pk].state) for upstream in checked]
    return DatabaseFigures(shipped, figures, lag_s, last_hour)


def _figures(upstream: Upstream, circuit: str) -> UpstreamFigures:
    status = getattr(upstream, "status", None)
    if status is None:
        return UpstreamFigures(upstream.slug, health.current(upstream), None, 0, 0, circuit)
    return UpstreamFigures(
        upstream.slug,
        health.current(upstream),
        status.latency_ms if status.ok else None,
        status.failing_checks,
        status.recoveries,
        circuit,
    )


class UpkeepCollector:
    """The gateway's own state. `figures` is None while the database does not answer: then its families are absent."""

    def __init__(self, figures: DatabaseFigures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        info = {
            "version": settings.VERSION,
            "environment": settings.ENVIRONMENT,
            "gateway_id": settings.GATEWAY_ID,
        }
        yield InfoMetricFamily("mcp_gateway", "Which gateway this is.", value=info)
        figures = self._figures
        yield _gauge("mcp_gateway_database_up", "Whether the database answered this request.", figures is not None)
        files = _journal_files(settings.JOURNAL_DIR)
        yield _gauge("mcp_gateway_journal_bytes", "Size of the journal files.", sum(files.values()))
        if figures is None:
            return
        waiting = {path: figures.shipped.get(UUID(path.stem), 0) for path in files}
        unshipped = sum(max(0, files[path] - offset) for path, offset in waiting.items())
        yield _gauge("mcp_gateway_journal_waiting_bytes", "Of these, not yet in the database.", unshipped)
        lag_s = max((_age_s(path, offset) for path, offset in waiting.items() if offset < files[path]), default=0.0)
        yield _gauge("mcp_gateway_shipper_lag_seconds", "Age of the oldest row that is not in the database.", lag_s)
        if figures.rollup_lag_s is not None:
            text = "How far the added-up log is behind the clock."
            yield _gauge("mcp_gateway_rollup_lag_seconds", text, figures.rollup_lag_s)
        yield from _of_last_hour(figures.last_hour)
        yield from _of_upstreams(figures.upstreams)


def _of_last_hour(measures: Measures) -> Iterator[Metric]:
    """Yield the same figures as /api/v1/metrics has (B.6), of all hosts; none where there was no call."""
    figures = {
        "success_rate": ("Share of the last hour's calls that ended ok, 0 to 1.", 1 - measures.error_rate),
        "latency_avg_ms": ("Mean latency of the last hour's calls.", measures.avg_ms),
        "latency_p95_ms": ("95th percentile of the last hour's latencies.", measures.p95_ms),
        "latency_p99_ms": ("99th percentile of the last hour's latencies.", measures.p99_ms),
    }
    for name, (text, value) in figures.items():
        family = GaugeMetricFamily(f"mcp_gateway_{name}", text)
        if measures.calls and value is not None:
            family.add_metric((), value)
        yield family


def _of_upstreams(upstreams: Sequence[UpstreamFigures]) -> Iterator[Metric]:
    """Yield what the checks found (B.7); nothing of `up` and `ping` where nobody knows."""
    up = GaugeMetricFamily("mcp_gateway_server_up", "Whether the upstream answers checks.", labels=("server",))
    status = GaugeMetricFamily(
        "mcp_gateway_server_status", "1 for the state that the upstream is in.", labels=("server", "status")
    )
    ping = GaugeMetricFamily("mcp_gateway_server_ping_ms", "Round trip of the last check.", labels=("server",))
    attempts = GaugeMetricFamily(
        "mcp_gateway_server_reconnect_attempt", "Checks in a row that failed.", labels=("server",)
    )
    recoveries = CounterMetricFamily(
        "mcp_gateway_server_reconnects", "How often the upstream answered again after it had not.", labels=("server",)
    )
    circuit = GaugeMetricFamily(
        "mcp_gateway_circuit_breaker_state",
        "The upstream's circuit on this host: 0 closed, 1 open, 2 half-open.",
        labels=("upstream",),
    )
    for one in upstreams:
        circuit.add_metric((one.slug,), _CIRCUITS.index(one.circuit))
        if one.health != Health.UNKNOWN:
            up.add_metric((one.slug,), float(one.health != Health.OFFLINE))
        for state in Health.values:
            status.add_metric((one.slug, state), float(one.health == state))
        if one.ping_ms is not None:
            ping.add_metric((one.slug,), one.ping_ms)
        attempts.add_metric((one.slug,), one.failing_checks)
        recoveries.add_metric((one.slug,), one.recoveries)
    yield from (up, status, ping, attempts, recoveries, circuit)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _journal_files(directory: Path) -> dict[Path, int]:
    """Return the journal's files with their sizes in bytes."""
    found: dict[Path, int] = {}
    for path in directory.glob(f"*{journal.SUFFIX}"):
        try:
            found[path] = path.stat().st_size
        except FileNotFoundError:  # shipped and removed meanwhile
            continue
    return found


def _age_s(path: Path, offset: int) -> float:
    """Return how old the row at `offset` is; 0 when it has just been shipped."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            columns = file.read(512).split(b"\t", 2)
        begun = datetime.strptime(columns[1].decode(), "%Y-%m-%d %H:%M:%S.%f+00").replace(tzinfo=UTC)
    except (OSError, IndexError, ValueError):
        return 0.0
    return max(0.0, time.time() - begun.timestamp())
