"""What the data plane counts for Prometheus, call by call. Labels come from the configuration, never from a caller.

The first call of a kind finds its numbers by name; every further one adds to them by their places.
"""

from __future__ import annotations

import resource
import time
from bisect import bisect_left
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from analytics.metrics import families
from analytics.metrics.cells import OTHER, Cells
from proxy.jsonrpc import REQUEST_METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.exchange import Exchange

_VERBS = frozenset("GET POST DELETE OPTIONS HEAD PUT PATCH".split())
_METHODS = REQUEST_METHODS | frozenset(
    "response notifications/initialized notifications/cancelled notifications/progress"
    " notifications/roots/list_changed".split()
)
_STATUSES = frozenset(HTTPStatus)
_KINDS = 8192  # of calls whose places are remembered
_LONGEST_LABEL = 128
_BOUNDS_US = tuple(bound * 1e6 for bound in families.BUCKETS_S)
_PAGE_BYTES = resource.getpagesize()


class _Places(NamedTuple):
    """Where calls of one kind are counted. `namespace` is held so that no other gets its identity."""

    calls: int
    buckets: int
    total_us: int
    namespace: object


class CallMetrics:
    """Counts calls and rows of the log."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._values = cells.values
        self._known: dict[tuple[object, ...], _Places] = {}

    def count(self, exchange: Exchange) -> None:
        """Count a call that has ended; the opening of a stream is none."""
        record, access = exchange.record, exchange.access
        places = None
        if access is not None and exchange.message is not None:
            method = record.method
            tool = record.tool if method == "tools/call" else None
            key = (
                id(access.namespace),
                method,
                tool,
                record.http_status,
                record.outcome,
                record.reason,
                record.key_id == 0,
            )
            places = self._known.get(key)
            if places is None:
                places = self._find(exchange)
                self._remember(key, exchange, places)
        elif record.reason == "opened":
            self._values[self._cells.find(families.ROWS_BESIDES)] += 1.0
            return
        else:
            places = self._find(exchange)
        values = self._values
        values[places.calls] += 1.0
        values[places.buckets + bisect_left(_BOUNDS_US, record.total_us)] += 1.0
        values[places.total_us] += record.total_us

    def dropped(self, why: str) -> None:
        """Count a row that is not on the journal: `full` or `failed`."""
        self._values[self._cells.find(families.ROWS_DROPPED, (why,))] += 1.0

    def _remember(self, key: tuple[object, ...], exchange: Exchange, places: _Places) -> None:
        """Remember where a kind of call is counted, if no word of it is the caller's own and no label its name."""
        record = exchange.record
        is_known = (
            record.method in _METHODS
            and record.outcome != "limited"
            and (record.method != "tools/call" or self._tool(exchange) == record.tool)
        )
        if is_known:
            if len(self._known) >= _KINDS:
                self._known.clear()
            self._known[key] = places

    def _find(self, exchange: Exchange) -> _Places:
        """Return the places of a kind of call, all of whose labels are known words."""
        record, find = exchange.record, self._cells.find
        verb = _among(exchange.scope["method"], _VERBS)
        upstream = record.upstream or ""
        path = f"/mcp/{record.namespace}" if record.namespace else OTHER
        status = str(record.http_status) if record.http_status in _STATUSES else OTHER
        authenticated = "none" if record.key_id is None else "api_key" if record.key_id else "anonymous"
        method = tool = identity = ""
        if exchange.message is not None:
            method = _among(record.method or "", _METHODS)
            tool = self._tool(exchange) if method == "tools/call" else ""
        if record.outcome == "limited":
            identity = f"{authenticated}:{record.user_id}"[:_LONGEST_LABEL] if record.user_id else authenticated
        labels = (verb, path, status, authenticated, upstream, record.outcome, record.reason or "", method, tool)
        buckets = find(families.DURATIONS, (verb, path, upstream), len(_BOUNDS_US) + 2)
        namespace = exchange.access.namespace if exchange.access is not None else None
        count = find(families.CALLS, (*labels, identity))
        return _Places(count, buckets, buckets + len(_BOUNDS_US) + 1, namespace)

    @staticmethod
    def _tool(exchange: Exchange) -> str:
        """Return the called tool's name if the upstream is known to have it."""
        name, access = exchange.record.tool, exchange.access
        upstream = access.namespace.upstream if access is not None else None
        if name is None or upstream is None or len(name) > _LONGEST_LABEL:
            return OTHER
        return name if name in upstream.catalogue.names.get("tool", ()) else OTHER


def _among(word: str, known: frozenset[str]) -> str:
    return word if word in known else OTHER


class ProcessMetrics:
    """What this process looks like, written each second; a value that is not written any more is not told."""

    def __init__(self, cells: Cells, number: str) -> None:
        self._values = cells.values
        find = cells.find
        self._cpu = find(families.CPU, (number,))
        self._gauges = find(families.PROCESS, (number,), len(families.PROCESS_GAUGES) + 1)
        # A successor counts on where the killed one's last second ended.
        self._cpu_before = self._values[self._cpu]
        self._lags = [0.0, 0.0]
        self._turned_at = 0.0

    def note_lag(self, lag_s: float, now: float) -> None:
        """Note by how much the event loop was late; the worst of the last 10 to 20 seconds is told."""
        if now - self._turned_at >= 10.0:
            self._lags, self._turned_at = [0.0, self._lags[0]], now
        self._lags[0] = max(self._lags[0], lag_s)

    def publish(self, in_flight: int, streams: int, snapshot_age_s: float) -> None:
        """Write the process's numbers down."""
        self._values[self._cpu] = self._cpu_before + time.process_time()
        gauges: Sequence[float] = (
            time.monotonic(),
            in_flight,
            streams,
            max(0.0, snapshot_age_s),
            max(self._lags),
            _resident_bytes(),
            sum(1 for _ in Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else 0,
        )
        for offset, value in enumerate(gauges):
            self._values[self._gauges + offset] = value


def _resident_bytes() -> int:
    """Return the memory that the process holds now (proc(5): statm, pages)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:  # another kernel: the most that it has held
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
