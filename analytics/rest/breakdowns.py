"""Calls by how they ended, by key, by namespace and by upstream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_view

from analytics import queries
from analytics.rest import answers, examples, rows
from analytics.rest.description import described
from analytics.rest.endpoint import Endpoint, Question, cut
from analytics.rest.fields import FlagField, WholeNumberField
from analytics.rest.parameters import FilterParameters, TableParameters
from keys.models import ApiKey
from keys.visibility import Scope


class OutcomeParameters(FilterParameters):
    """Of GET /analytics/outcomes."""

    limit = WholeNumberField(min_value=1, max_value=queries.MAX_GROUPS, default=100, help_text="Most rows.")


@extend_schema_view(
    get=described(
        "outcomes",
        "How calls ended",
        "Calls by outcome and reason, the most frequent first; `ok` is among them. The reasons are those of error"
        " answers and of the request log.",
        OutcomeParameters,
        answers.Outcomes,
        example=examples.OUTCOMES,
    )
)
class OutcomesView(Endpoint):
    """`GET /analytics/outcomes?period=24h`."""

    parameters = OutcomeParameters
    table = "outcomes"
    columns = ("outcome", "reason", "request_count", "share")

    def answer(self, question: Question) -> dict[str, Any]:
        """Return a row for each outcome and reason."""
        endings = queries.endings(question.reading, question.view, queries.MAX_GROUPS)
        calls = sum(ending.calls for ending in endings)
        found, more = cut([rows.ending(ending, calls) for ending in endings], question.given["limit"])
        return rows.period(question.view) | {"outcomes": found} | more


class _Breakdown(Endpoint):
    """A ranking by some names of the log."""

    parameters = TableParameters
    by: ClassVar[tuple[str, ...]]

    def answer(self, question: Question) -> dict[str, Any]:
        """Return a row for each group, the first by `order` first."""
        limit = question.given["limit"]
        groups = queries.ranking(
            question.reading,
            question.view,
            self.by,
            question.given["order"],
            limit + 1,
            min_calls=question.given["min_calls"],
            count_users=question.given.get("detail", False),
        )
        found, more = cut([self.row(group) for group in groups], limit)
        return rows.period(question.view) | {self.table: self.completed(found, question.view.scope)} | more

    def row(self, group: queries.Group) -> dict[str, Any]:
        """Return the fields of a group."""
        users = {} if group.users is None else {"unique_users": group.users}
        return {name: group.names[name] for name in self.by} | rows.measures(group.measures) | users

    def completed(self, found: list[dict[str, Any]], scope: Scope) -> list[dict[str, Any]]:
        """Return the rows with what the log does not know and the caller may."""
        return found


@extend_schema_view(
    get=described(
        "keys",
        "Usage by API key",
        "Calls of each API key, by its number, with whose it is, what it is for and whether it is still in use.",
        TableParameters,
        answers.Keys,
    )
)
class KeysView(_Breakdown):
    """`GET /analytics/keys?period=7d`."""

    table = "keys"
    by = ("key_id", "user_id")
    columns = (*by, "description", "state", *rows.MEASURES)

    def completed(self, found: list[dict[str, Any]], scope: Scope) -> list[dict[str, Any]]:
        """Return the rows with description and state of the keys that the caller answers for.

        Who sees the calls of a team's namespaces learns nothing more of others' keys that call there.
        """
        keys = ApiKey.objects.filter(pk__in=[row["key_id"] for row in found])
        if scope.user_ids is None and scope.namespaces is not None:
            keys = keys.filter(team__namespaces__namespace__slug__in=scope.namespaces).distinct()
        known = {key.pk: key for key in keys}
        return [row | _about(known.get(row["key_id"])) for row in found]


def _about(key: ApiKey | None) -> dict[str, str | None]:
    return {"description": key.description if key else None, "state": key.state if key else None}


class NamespaceParameters(TableParameters):
    """Of GET /analytics/namespaces."""

    detail = FlagField(default=False, help_text="Also tell how many users there were, which takes longer.")


@extend_schema_view(
    get=described(
        "namespaces_usage",
        "Usage by namespace",
        "Calls of each namespace, and how many users made them where `detail=true` asks for it.",
        NamespaceParameters,
        answers.Namespaces,
    )
)
class NamespacesView(_Breakdown):
    """`GET /analytics/namespaces?period=7d`."""

    parameters = NamespaceParameters
    table = "namespaces"
    by = ("namespace",)

    def table_columns(self) -> Sequence[str]:
        """Return the measures, and the number of users where it was asked for."""
        return *self.by, *rows.MEASURES, *(("unique_users",) if self.given["detail"] else ())


@extend_schema_view(
    get=described(
        "upstreams_usage",
        "Usage by upstream",
        "Calls that went to each upstream.",
        TableParameters,
        answers.Upstreams,
    )
)
class UpstreamsView(_Breakdown):
    """`GET /analytics/upstreams?period=7d`."""

    table = "upstreams"
    by = ("upstream",)
    columns = (*by, *rows.MEASURES)
