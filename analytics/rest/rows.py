"""Values of the queries as the fields of an answer, named alike everywhere."""

from __future__ import annotations

from typing import Any

from analytics import queries
from analytics.durations import go_duration
from analytics.rest.csv_text import moment

MEASURES = (
    "request_count",
    "error_count",
    "error_rate",
    "avg_latency_ms",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "total_request_bytes",
    "total_response_bytes",
)

# Those that A.5 publishes.
USAGE = ("request_count", "error_count", "avg_latency_ms", "total_request_bytes", "total_response_bytes")


def measures(of: queries.Measures) -> dict[str, Any]:
    """Return the fields of MEASURES. Times are milliseconds, null where there was no call."""
    return {
        "request_count": of.calls,
        "error_count": of.errors,
        "error_rate": rate(of),
        "avg_latency_ms": ms(of.avg_ms),
        "p50_latency_ms": ms(of.p50_ms),
        "p95_latency_ms": ms(of.p95_ms),
        "p99_latency_ms": ms(of.p99_ms),
        "total_request_bytes": of.request_bytes,
        "total_response_bytes": of.response_bytes,
    }


def usage(of: queries.Measures) -> dict[str, Any]:
    """Return the fields of USAGE."""
    all_of_them = measures(of)
    return {name: all_of_them[name] for name in USAGE}


def rate(of: queries.Measures) -> float:
    """Return the share of calls that did not end `ok`, 0 to 1."""
    return round(of.error_rate, 6)


def ms(value: float | None) -> float | None:
    """Return milliseconds to the microsecond."""
    return None if value is None else round(value, 3)


def ms_of(microseconds: int | None) -> float | None:
    """Return microseconds as milliseconds."""
    return None if microseconds is None else microseconds / 1000


def span(view: queries.View) -> dict[str, str]:
    """Return the beginning and the end of a view."""
    return {"from": moment(view.since), "to": moment(view.until)}


def period(view: queries.View) -> dict[str, str]:
    """Return what an answer says about its period."""
    return {"period": go_duration(view.until - view.since)} | span(view)


def ending(of: queries.Ending, calls: int) -> dict[str, Any]:
    """Return how calls ended, and their share of all `calls`."""
    share = round(of.calls / calls, 6) if calls else 0.0
    return {"outcome": of.outcome, "reason": of.reason, "request_count": of.calls, "share": share}
