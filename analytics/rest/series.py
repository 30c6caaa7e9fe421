"""Calls over time: `/analytics/timeseries` (A.8), and `/analytics/percentiles` with three latencies a point."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_view

from analytics import queries
from analytics.durations import go_duration
from analytics.rest import answers, examples, rows
from analytics.rest.csv_text import moment
from analytics.rest.description import described
from analytics.rest.endpoint import Endpoint, Question
from analytics.rest.fields import WordField
from analytics.rest.parameters import SeriesParameters

METRICS = ("calls", "errors", "p50", "p95", "p99", "avg", "bytes")


class TimeSeriesParameters(SeriesParameters):
    """Of GET /analytics/timeseries."""

    metric = WordField(
        choices=list(METRICS),
        default="calls",
        help_text="What `value` is: a number of `calls` or `errors`, milliseconds of latency (`avg`, `p50`, `p95`,"
        " `p99`; null where there was no call), or `bytes` of requests and responses.",
    )


class _Series(Endpoint):
    """A series: its period and bucket are echoed, its points are `data`."""

    table = "data"

    def answer(self, question: Question) -> dict[str, Any]:
        """Return a point for each bucket, empty ones included."""
        reading, view = question.reading, question.view
        bucket = question.given.get("bucket") or SeriesParameters.default_bucket(reading, view)
        metric = question.given.get("metric", "")
        points = queries.series(reading, view, bucket, with_percentiles=metric in ("", "p50", "p95", "p99"))
        return {
            "period": go_duration(view.until - view.since),
            "bucket": go_duration(bucket),
            "data": [{"timestamp": moment(point.at)} | self.values(point.measures, metric) for point in points],
        }

    def values(self, measures: queries.Measures, metric: str) -> dict[str, Any]:
        """Return a point's fields besides its time."""
        raise NotImplementedError


@extend_schema_view(
    get=described(
        "timeseries",
        "One measure over time",
        "One value for each bucket of the period, oldest first; empty buckets are there, with 0. The first bucket"
        " begins at or before the period, the last one may still be filling.",
        TimeSeriesParameters,
        answers.TimeSeries,
        example=examples.SERIES,
    )
)
class TimeSeriesView(_Series):
    """`GET /analytics/timeseries?period=24h&bucket=1h`."""

    parameters = TimeSeriesParameters
    columns = ("timestamp", "value")

    def values(self, measures: queries.Measures, metric: str) -> dict[str, Any]:
        """Return the metric's value."""
        return {"value": _VALUES[metric](measures)}


@extend_schema_view(
    get=described(
        "percentiles",
        "Latency over time",
        "p50, p95 and p99 of the calls of each bucket, in milliseconds and at most 5 % off; null where there was no"
        " call.",
        SeriesParameters,
        answers.Percentiles,
    )
)
class PercentilesView(_Series):
    """`GET /analytics/percentiles?period=24h&bucket=1h`."""

    parameters = SeriesParameters
    columns = ("timestamp", "request_count", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms")

    def values(self, measures: queries.Measures, metric: str) -> dict[str, Any]:
        """Return the number of calls and the three percentiles."""
        values = rows.measures(measures)
        return {name: values[name] for name in self.columns[1:]}


_VALUES = {
    "calls": lambda of: of.calls,
    "errors": lambda of: of.errors,
    "avg": lambda of: rows.ms(of.avg_ms),
    "p50": lambda of: rows.ms(of.p50_ms),
    "p95": lambda of: rows.ms(of.p95_ms),
    "p99": lambda of: rows.ms(of.p99_ms),
    "bytes": lambda of: of.request_bytes + of.response_bytes,
}
