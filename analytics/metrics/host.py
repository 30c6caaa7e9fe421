"""What this host's processes have counted, as Prometheus families: the names of C.4, D.4 and B.7."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from analytics.metrics import families
from analytics.metrics.cells import OTHER, Labels, Series

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
Where = Callable[[Mapping[str, str]], bool]
UPSTREAM_FAILURES = ("upstream_error", "timeout")


class HostCollector:
    """The sums over all files of counts; gauges only of the processes that still write theirs."""

    def __init__(self, files: Iterable[Series], sessions: int = 0, now: float | None = None) -> None:
        """Take the files' numbers and the number of active sessions.

        Args: now: seconds of the monotonic clock, which all processes share.
        """
        self._sessions = sessions
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

    def _calls_by(self, *names: str, where: Where = lambda _: True) -> dict[Labels, float]:
        """Return the number of calls by some of their labels, of those calls whose labels fit."""
        places = [families.CALL_LABELS.index(name) for name in names]
        found: dict[Labels, float] = defaultdict(float)
        for labels, numbers in self._of(families.CALLS).items():
            if where(dict(zip(families.CALL_LABELS, labels, strict=True))):
                found[tuple(labels[place] for place in places)] += numbers[0]
        return found

    def _calls(self) -> Iterator[Metric]:
        names = ("method", "path", "status", "auth_type", "upstream")
        yield _counter("mcp_gateway_requests", "MCP requests that have ended.", names, self._calls_by(*names))
        errors = self._calls_by(where=_is_error) or {(): 0.0}
        yield _counter("mcp_gateway_errors", "MCP requests that did not end ok.", (), errors)

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
        calls = self._calls_by("upstream", where=_has_upstream)
        yield _counter("mcp_gateway_server_requests", "MCP requests by upstream.", ("server",), calls)
        errors = dict.fromkeys(calls, 0.0) | self._calls_by(
            "upstream", where=lambda labels: _has_upstream(labels) and _is_error(labels)
        )
        yield _counter("mcp_gateway_server_errors", "Those that did not end ok.", ("server",), errors)
        spent: dict[Labels, float] = defaultdict(float)
        for labels, numbers in self._of(families.DURATIONS).items():
            if labels[2]:
                spent[labels[2:]] += numbers[-1] / 1e3
        family = SummaryMetricFamily(
            "mcp_gateway_server_duration_ms", "How long MCP requests to an upstream took.", labels=("server",)
        )
        for labels, ms in spent.items():
            family.add_metric(labels, int(calls.get(labels, 0)), ms)
        yield family

    def _methods_and_tools(self) -> Iterator[Metric]:
        methods = self._calls_by("rpc_method", "upstream", where=lambda labels: labels["rpc_method"] != "")
        yield _counter("mcp_gateway_mcp_methods", "MCP messages by method.", ("method", "upstream"), methods)
        called, failed, passed, listed = UNSUFFIXED
        for name, text, where in (
            (called, "Calls of a tool.", lambda labels: True),
            (failed, "Calls of a tool that did not end ok.", _is_error),
            (passed, "Calls of a tool that ended ok.", lambda labels: not _is_error(labels)),
        ):
            numbers = self._calls_by("tool", "upstream", where=_both(_is_tool_call, where))
            yield _unsuffixed(name, text, ("tool", "proxy"), numbers)
        lists = self._calls_by(
            "upstream", where=_both(_has_upstream, lambda labels: labels["rpc_method"] == "tools/list")
        )
        yield _unsuffixed(listed, "Lists of tools that were asked for.", ("proxy",), lists)

    def _ends(self) -> Iterator[Metric]:
        failures = self._calls_by("upstream", "reason", where=lambda labels: labels["outcome"] in UPSTREAM_FAILURES)
        text = "Calls that failed at the upstream, by reason."
        yield _counter("mcp_gateway_upstream_errors", text, ("upstream", "error_type"), failures)
        rejections = self._calls_by("identity", "reason", where=lambda labels: labels["outcome"] == "limited")
        text = "Calls over a limit, by who made them and by the reason."
        yield _counter("mcp_gateway_rate_limit_rejections", text, ("identity", "tier"), rejections)
        ends = self._calls_by("outcome", "reason", where=_is_error)
        text = "MCP requests that did not end ok, by outcome and reason."
        yield _counter("mcp_gateway_call_ends", text, ("outcome", "reason"), ends)
        alone = {labels: numbers[0] for labels, numbers in self._of(families.WITHOUT_STORE).items()}
        text = "Calls whose limits or quotas could not be counted for all, because the store was away."
        yield _counter("mcp_gateway_without_store", text, ("store", "decision"), alone)

    def _journal(self) -> Iterator[Metric]:
        dropped: dict[Labels, float] = {(why,): 0.0 for why in ("full", "failed")}
        dropped |= {labels: numbers[0] for labels, numbers in self._of(families.ROWS_DROPPED).items()}
        # Every call is a row, unless it was dropped, and so is the opening of a long stream.
        rows = sum(
            numbers[0] for numbers in (*self._of(families.CALLS).values(), *self._of(families.ROWS_BESIDES).values())
        )
        written: dict[Labels, float] = {(): rows - sum(dropped.values())}
        yield _counter("mcp_gateway_log_rows_written", "Rows that were put on the journal.", (), written)
        yield _counter("log_rows_dropped", "Rows that could not be put on the journal.", ("reason",), dropped)

    def _process(self) -> Iterator[Metric]:
        name, text = "mcp_gateway_process_cpu_seconds", "CPU time of a worker and of those before it in its place."
        cpu = {labels: numbers[0] for labels, numbers in self._of(families.CPU).items()}
        yield _counter(name, text, ("process",), cpu)
        yield GaugeMetricFamily("mcp_gateway_workers", "Workers that serve.", value=len(self._processes))
        name, text = "mcp_gateway_active_agent_sessions", "MCP sessions that clients used in the last five minutes."
        yield GaugeMetricFamily(name, text, value=self._sessions)
        for key, (name, text) in _GAUGES.items():
            values = [gauges[key] for gauges in self._processes.values()]
            combined = max(values, default=0.0) if key == "snapshot_age_s" else sum(values)
            yield GaugeMetricFamily(name, text, value=combined)
        for key, (name, text) in _PROCESS_GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=("process",))
            for process, gauges in sorted(self._processes.items()):
                family.add_metric((process,), gauges[key])
            yield family


def _is_error(labels: Mapping[str, str]) -> bool:
    return labels["outcome"] != "ok"


def _has_upstream(labels: Mapping[str, str]) -> bool:
    return labels["upstream"] not in ("", OTHER)


def _is_tool_call(labels: Mapping[str, str]) -> bool:
    return labels["rpc_method"] == "tools/call"


def _both(first: Where, second: Where) -> Where:
    return lambda labels: first(labels) and second(labels)


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
