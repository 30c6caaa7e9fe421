"""A period added up, beside the one before: `/analytics/summary`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_view

from analytics import queries
from analytics.rest import answers, examples, rows
from analytics.rest.description import described
from analytics.rest.endpoint import Endpoint, Question
from analytics.rest.parameters import FilterParameters


@extend_schema_view(
    get=described(
        "summary",
        "Totals of a period and of the one before",
        "Calls, errors, latencies, bytes and active users of the period, and of the period of equal length before it."
        " As CSV these are two rows.",
        FilterParameters,
        answers.Summary,
        example=examples.SUMMARY,
    )
)
class SummaryView(Endpoint):
    """`GET /analytics/summary?period=7d`."""

    parameters = FilterParameters
    table = "summary"
    columns = ("from", "to", *rows.MEASURES, "active_users")

    def answer(self, question: Question) -> dict[str, Any]:
        """Return the totals of both periods."""
        view = question.view
        found = {"current": _totals(question, view), "before": _totals(question, view.before())}
        return {"period": rows.period(view)["period"]} | found

    def table_of(self, data: Any) -> Any:
        """Return the two periods, the present one first."""
        return self.columns, [data["current"], data["before"]]


def _totals(question: Question, view: queries.View) -> dict[str, Any]:
    totals = rows.measures(queries.totals(question.reading, view))
    return rows.span(view) | totals | {"active_users": queries.active_users(question.reading, view)}
