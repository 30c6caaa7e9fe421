"""Who called how much: `/analytics/usage` by user or tool (A.5), `/analytics/usage/<user_id>` for one user (A.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema_view
from rest_framework.exceptions import NotFound

from analytics import queries
from analytics.durations import go_duration
from analytics.rest import answers, examples, rows
from analytics.rest.description import described
from analytics.rest.endpoint import Endpoint, Question, cut
from analytics.rest.fields import MAX_NAME, FlagField, WholeNumberField, WordField
from analytics.rest.parameters import DEFAULT_ROWS, PeriodParameters, TableParameters
from keys.models import ApiKey

DETAIL = "Give each row every measure: errors and their share, mean and percentiles of latency, bytes."
# How far back a user's calls tell that the user exists.
_REMEMBERED = timedelta(days=90)
_UNKNOWN = "There is no such user among those whose calls you may see."

# Of the lists of one user's usage.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "tools": ("tool_name", "namespace", *rows.MEASURES),
    "namespaces": ("namespace", *rows.MEASURES),
    "keys": ("key_id", *rows.MEASURES),
    "outcomes": ("outcome", "reason", "request_count", "share"),
}


class UsageParameters(TableParameters):
    """Of GET /analytics/usage."""

    limit = WholeNumberField(
        min_value=1,
        max_value=queries.MAX_GROUPS,
        required=False,
        help_text=f"Most rows; {queries.MAX_GROUPS} when nothing is said, {DEFAULT_ROWS} with detail=true.",
    )
    group_by = WordField(choices=["user", "tool"], default="user", help_text="What a row stands for.")
    detail = FlagField(default=False, help_text=DETAIL)


@extend_schema_view(
    get=described(
        "usage",
        "Usage by user or tool",
        "Calls, errors, mean latency and bytes by user (or tool) and namespace. An error is whatever did not end `ok`;"
        " a long stream counts once, when it closes. `truncated` is there when there were more rows.",
        UsageParameters,
        answers.Usage,
        example=examples.USAGE,
    )
)
class UsageView(Endpoint):
    """`GET /analytics/usage?period=7d&group_by=user|tool`."""

    parameters = UsageParameters
    table = "results"

    def answer(self, question: Question) -> dict[str, Any]:
        """Return a row for each user, or tool, and namespace."""
        given = question.given
        limit = given.get("limit") or (DEFAULT_ROWS if given["detail"] else queries.MAX_GROUPS)
        name, label = ("tool", "tool_name") if given["group_by"] == "tool" else ("user_id", "user_id")
        groups = queries.ranking(
            question.reading,
            question.view,
            (name, "namespace"),
            given["order"],
            limit + 1,
            min_calls=given["min_calls"],
            with_percentiles=given["detail"] or given["order"] == "p95",
        )
        found = [
            {label: group.names[name], "namespace": group.names["namespace"]}
            | (rows.measures(group.measures) if given["detail"] else rows.usage(group.measures))
            for group in groups
        ]
        results, more = cut(found, limit)
        return {"period": go_duration(question.view.until - question.view.since), "results": results} | more

    def table_columns(self) -> Sequence[str]:
        """Return the names and the measures that were asked for."""
        label = "tool_name" if self.given["group_by"] == "tool" else "user_id"
        return label, "namespace", *(rows.MEASURES if self.given["detail"] else rows.USAGE)


class UserParameters(PeriodParameters):
    """Of GET /analytics/usage/<user_id>."""

    limit = WholeNumberField(
        min_value=1, max_value=queries.MAX_GROUPS, default=DEFAULT_ROWS, help_text="Most rows of each list."
    )
    table = WordField(choices=list(_COLUMNS), default="tools", help_text="Which list CSV shows.")


@extend_schema_view(
    get=described(
        "usage_of_user",
        "Usage of one user",
        "What one user did: everything added up, then by namespace, tool, key and outcome. A user whose calls the"
        " caller may not see is a 404, like one that does not exist.",
        UserParameters,
        answers.UserUsage,
        example=examples.USER,
        errors=(404,),
    )
)
class UserUsageView(Endpoint):
    """`GET /analytics/usage/<user_id>?period=24h`."""

    parameters = UserParameters
    table = "tools"

    def answer(self, question: Question) -> dict[str, Any]:
        """Return the user's totals and lists. Raises NotFound."""
        user = question.given["user_id"]
        if len(user) > MAX_NAME or "\x00" in user:
            raise NotFound(_UNKNOWN)
        view = replace(question.view, user_id=user)
        totals = queries.totals(question.reading, view)
        if not totals.calls:
            _check_exists(question.reading, view)
        found = {"user_id": user, "totals": rows.measures(totals)}
        return rows.period(view) | found | _lists(question, view, totals.calls)

    def table_name(self) -> str:
        """Return the list that the parameter `table` names."""
        return str(self.given["table"])

    def table_columns(self) -> Sequence[str]:
        """Return the columns of that list."""
        return _COLUMNS[self.table_name()]


def _lists(question: Question, view: queries.View, calls: int) -> dict[str, Any]:
    limit = question.given["limit"]

    def ranked(label: str, name: str, *more: str) -> list[dict[str, Any]]:
        groups = queries.ranking(question.reading, view, (name, *more), limit=limit)
        return [
            {label: group.names[name], **{other: group.names[other] for other in more}} | rows.measures(group.measures)
            for group in groups
        ]

    endings = queries.endings(question.reading, view, limit)
    return {
        "namespaces": ranked("namespace", "namespace"),
        "tools": ranked("tool_name", "tool", "namespace"),
        "keys": ranked("key_id", "key_id"),
        "outcomes": [rows.ending(ending, calls) for ending in endings],
    }


def _check_exists(reading: queries.Reading, view: queries.View) -> None:
    """Raise NotFound unless the caller may know that the user exists, who has no calls in the period."""
    user, scope = view.user_id, view.scope
    if scope.user_ids is not None and user in scope.user_ids:
        return
    if scope.user_ids is None and scope.namespaces is None and ApiKey.objects.filter(user_id=user).exists():
        return
    wide = replace(view, since=reading.now - _REMEMBERED, until=reading.now, namespace=None)
    if not queries.totals(reading, wide).calls:
        raise NotFound(_UNKNOWN)
