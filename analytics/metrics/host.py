"""What this host's processes have counted, as Prometheus families: the names of C.4, D.4 and B.7."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from analytics.metrics import families
from analytics.metrics.cells import Labels, Series

# D.4's names are counters whose name does not end in `_total`, which OpenMetrics does not know.
UNSUFFIXED = (
    "mcp_gateway_tools_called",
    "mcp_gateway_tools_call_errors",
    "mcp_gateway_tools_call_success",
    "mcp_gateway_list_tools",
)
_GAUGES = {
    "in_flight": ("mcp_gateway_active_connections", "MCP requests that are being answered."),
    "streams": ("mcp_gateway_open_streams", "Event streams that are open."),
    "snapshot_age_s": (
        "mcp_gateway_configuration_age_seconds",
        "Since the database last confirmed the configuration in force, at the process furthest behind.",
    ),
}
_PROCESS_GAUGES = {
    "lag_s": (
        "mcp_gateway_event_loop_lag_seconds",
        "By how much the event loop was late at most, in the last 10 to 20 seconds.",
    ),
    "resident_bytes": ("mcp_gateway_process_resident_memory_bytes", "Memory that the worker holds."),
    "open_fds": ("mcp_gateway_process_open_fds", "File descriptors that the worker has open."),
}
Numbers = Mapping[Labels, Sequence[float]]


class HostCollector:
    """The sums over all files of counts; gauges only of the processes that still write theirs."""

    def __init__(self, files: Iterable[Series], now: float | None = None) -> None:
        """Take the files' numbers; `now` is seconds of the monotonic clock, which all processes share."""
        self._now = time.monotonic() if now is None else now
        self._sums: dict[str, dict[Labels, list[float]]] = defaultdict(dict)
        self._processes: dict[str, dict[str, float]] = {}
        for file in files:
            for (family, labels), numbers in file.items():
                if family == families.PROCESS:
                    self._add_process(labels[0], numbers)
                    continue
                sums = self._sums[family].setdefault(labels, [0.0] * len(numbers))
                for place, number in enumerate(numbers):
                    sums[place] += number

    def _add_process(self, process: str, numbers: Sequence[float]) -> None:
        written_at, *gauges = numbers
        if self._now - written_at <= families.FRESH_S:
            self._processes[process] = dict(zip(families.PROCESS_GAUGES, gauges, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Yield every family, those without a sample too."""
        yield from self._calls()
        yield self._durations()
        yield from self._servers()
        yield from self._methods_and_tools()
        yield from self._ends()
        yield from self._journal()
        yield from self._process()

    def _of(self, family: str) -> Numbers:
        return self._sums.get(family, {})

    def _summed(self, family: str, *places: int, only: str | None = None) -> dict[Labels, float]:
        """Return the first numbers of a family added up by some of its labels; `only` asks for a last label."""
        found: dict[Labels, float] = defaultdict(float)
        for labels, numbers in self._of(family).items():
            if only is None or labels[-1] == only:
                found[tuple(labels[place] for place in places)] += numbers[0]
        return found

    def _errors(self, *places: int) -> dict[Labels, float]:
        found: dict[Labels, float] = defaultdict(float)
        for labels, numbers in self._of(families.CALLS).items():
            found[tuple(labels[place] for place in places)] += 0.0 if labels[-1] == "ok" else numbers[0]
        return found

    def _calls(self) -> Iterator[Metric]:
        names = ("method", "path", "status", "auth_type", "upstream")
        calls = self._summed(families.CALLS, 0, 1, 2, 3, 4)
        yield _counter("mcp_gateway_requests", "MCP requests that have ended.", names, calls)
        yield _counter("mcp_gateway_errors", "MCP requests that did not end ok.", (), self._errors() or {(): 0.0})

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "mcp_gateway_request_duration_seconds",
            "How long MCP requests took, streams until their end.",
            labels=("method", "path", "upstream"),
        )
        for labels, numbers in self._of(families.DURATIONS).items():
            below, buckets = 0.0, []
            for bound, number in zip((*families.BUCKETS_S, float("inf")), numbers, strict=False):
                below += number
                buckets.append((floatToGoString(bound), below))
            family.add_metric(labels, buckets, numbers[-1] / 1e6)
        return family

    def _servers(self) -> Iterator[Metric]:
        calls = _known(self._summed(families.CALLS, 4))
        yield _counter("mcp_gateway_server_requests", "MCP requests by upstream.", ("server",), calls)
        errors = _known(self._errors(4))
        yield _counter("mcp_gateway_server_errors", "Those that did not end ok.", ("server",), errors)
        spent: dict[Labels, float] = defaultdict(float)
        for labels, numbers in self._of(families.DURATIONS).items():
            spent[labels[2:]] += numbers[-1] / 1e3
        family = SummaryMetricFamily(
            "mcp_gateway_server_duration_ms", "How long MCP requests to an upstream took.", labels=("server",)
        )
        for labels, ms in _known(spent).items():
            family.add_metric(labels, int(calls.get(labels, 0)), ms)
        yield family

    def _methods_and_tools(self) -> Iterator[Metric]:
        methods = self._summed(families.METHODS, 0, 1)
        yield _counter("mcp_gateway_mcp_methods", "MCP messages by method.", ("method", "upstream"), methods)
        called, failed, passed, listed = UNSUFFIXED
        tools = ("tool", "proxy")
        yield _unsuffixed(called, "Calls of a tool.", tools, self._summed(families.TOOLS, 0, 1))
        failures = self._summed(families.TOOLS, 0, 1, only="error")
        yield _unsuffixed(failed, "Calls of a tool that did not end ok.", tools, failures)
        successes = self._summed(families.TOOLS, 0, 1, only="ok")
        yield _unsuffixed(passed, "Calls of a tool that ended ok.", tools, successes)
        lists = {labels[1:]: number for labels, number in methods.items() if labels[0] == "tools/list" and labels[1]}
        yield _unsuffixed(listed, "Lists of tools that were asked for.", ("proxy",), lists)

    def _ends(self) -> Iterator[Metric]:
        failures = self._summed(families.UPSTREAM_ERRORS, 0, 1)
        yield _counter(
            "mcp_gateway_upstream_errors",
            "Calls that failed at the upstream, by reason.",
            ("upstream", "error_type"),
            failures,
        )
        yield _counter(
            "mcp_gateway_rate_limit_rejections",
            "Calls over a limit, by who made them and by the reason.",
            ("identity", "tier"),
            self._summed(families.REJECTIONS, 0, 1),
        )
        yield _counter(
            "mcp_gateway_call_ends",
            "MCP requests that did not end ok, by outcome and reason.",
            ("outcome", "reason"),
            self._summed(families.REFUSALS, 0, 1),
        )

    def _journal(self) -> Iterator[Metric]:
        written = self._summed(families.ROWS_WRITTEN) or {(): 0.0}
        yield _counter("mcp_gateway_log_rows_written", "Rows that were put on the journal.", (), written)
        dropped = {(why,): 0.0 for why in ("full", "failed")} | self._summed(families.ROWS_DROPPED, 0)
        yield _counter("log_rows_dropped", "Rows that could not be put on the journal.", ("reason",), dropped)

    def _process(self) -> Iterator[Metric]:
        name, text = "mcp_gateway_process_cpu_seconds", "CPU time of a worker and of those before it in its place."
        yield _counter(name, text, ("process",), self._summed(families.CPU, 0))
        yield GaugeMetricFamily("mcp_gateway_workers", "Workers that serve.", value=len(self._processes))
        for key, (name, text) in _GAUGES.items():
            values = [gauges[key] for gauges in self._processes.values()]
            combined = max(values, default=0.0) if key == "snapshot_age_s" else sum(values)
            yield GaugeMetricFamily(name, text, value=combined)
        for key, (name, text) in _PROCESS_GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=("process",))
            for process, gauges in sorted(self._processes.items()):
                family.add_metric((process,), gauges[key])
            yield family


def _known(numbers: Mapping[Labels, float]) -> dict[Labels, float]:
    """Return the numbers that belong to an upstream."""
    return {labels: number for labels, number in numbers.items() if labels[0]}


def _counter(name: str, text: str, names: Sequence[str], numbers: Mapping[Labels, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=names)
    for labels, number in sorted(numbers.items()):
        family.add_metric(labels, number)
    return family


def _unsuffixed(name: str, text: str, names: Sequence[str], numbers: Mapping[Labels, float]) -> Metric:
    family = Metric(name, text, "unknown")
    for labels, number in sorted(numbers.items()):
        family.add_sample(name, dict(zip(names, labels, strict=True)), number)
    return family
