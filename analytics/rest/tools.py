"""Which tools are called: `/analytics/tools` (A.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema_view

from analytics import queries
from analytics.durations import go_duration
from analytics.rest import answers, examples, rows
from analytics.rest.description import described
from analytics.rest.endpoint import Endpoint, Question
from analytics.rest.fields import FlagField
from analytics.rest.parameters import TableParameters
from analytics.rest.usage import DETAIL

_COLUMNS = ("tool_name", "namespace", "invocations", "unique_users", "avg_latency_ms", "error_rate")
_DETAIL = tuple(name for name in rows.MEASURES if name not in _COLUMNS)


class ToolParameters(TableParameters):
    """Of GET /analytics/tools."""

    detail = FlagField(default=False, help_text=DETAIL)


@extend_schema_view(
    get=described(
        "tools",
        "Tools by popularity",
        "Calls of each tool, how many users made them, mean latency and the share of errors; the most popular first"
        " unless `order` says otherwise. Names that were refused as unknown are no tools.",
        ToolParameters,
        answers.Tools,
        example=examples.TOOLS,
    )
)
class ToolsView(Endpoint):
    """`GET /analytics/tools?period=7d&limit=20`."""

    parameters = ToolParameters
    table = "tools"

    def answer(self, question: Question) -> dict[str, Any]:
        """Return a row for each tool of each namespace."""
        given = question.given
        groups = queries.ranking(
            question.reading,
            question.view,
            ("tool", "namespace"),
            given["order"],
            given["limit"],
            min_calls=given["min_calls"],
            with_percentiles=given["detail"] or given["order"] == "p95",
            count_users=True,
        )
        tools = [_tool(group) | (rows.measures(group.measures) if given["detail"] else {}) for group in groups]
        return {"period": go_duration(question.view.until - question.view.since), "tools": tools}

    def table_columns(self) -> Sequence[str]:
        """Return the published columns, and the others where they were asked for."""
        return _COLUMNS + (_DETAIL if self.given["detail"] else ())


def _tool(group: queries.Group) -> dict[str, Any]:
    return {
        "tool_name": group.names["tool"],
        "namespace": group.names["namespace"],
        "invocations": group.measures.calls,
        "unique_users": group.users,
        "avg_latency_ms": rows.ms(group.measures.avg_ms),
        "error_rate": rows.rate(group.measures),
    }
