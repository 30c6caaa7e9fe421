"""What every endpoint does alike: who may ask, which parameters, one snapshot, JSON or CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError
from rest_framework.views import APIView

from analytics import queries
from analytics.rest.parameters import PeriodParameters
from analytics.rest.renderers import CsvRenderer, FormatNegotiation
from keys.authentication import IsKeyOrAccount
from keys.throttling import CallerThrottle
from keys.visibility import scope_of

# Figures are two seconds old at most and rights change at once: no cache may keep either.
NOT_STORED = "private, no-store"


@dataclass(frozen=True, slots=True)
class Question:
    """What one request asks: its parameters, the view that they describe, and the snapshot that answers."""

    reading: queries.Reading
    view: queries.View
    given: Mapping[str, Any]


class Closed(APIView):
    """A view of the REST API: for API keys and accounts, read-only, throttled, stored by no cache."""

    permission_classes = [IsKeyOrAccount]
    throttle_classes = [CallerThrottle]
    renderer_classes: Sequence[Any] = [JSONRenderer]
    content_negotiation_class = FormatNegotiation
    http_method_names = ["get", "head"]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the response; an error is JSON, whatever was asked for."""
        if getattr(response, "exception", False):
            request.accepted_renderer, request.accepted_media_type = JSONRenderer(), "application/json"
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = NOT_STORED
        return response


class Endpoint(Closed):
    """A view that asks one question about a period. Subclasses say which parameters, and `answer` it.

    `table` names the answer's list that CSV shows, `columns` its columns.
    """

    renderer_classes: Sequence[Any] = [JSONRenderer, CsvRenderer]
    parameters: ClassVar[type[PeriodParameters]] = PeriodParameters
    table: ClassVar[str] = ""
    columns: ClassVar[Sequence[str]] = ()
    given: Mapping[str, Any]

    def get(self, request: Request, **path: str) -> Response:
        """Validate the parameters, read one snapshot and answer."""
        self.given = given = self.parameters.of(request.query_params) | path
        scope = scope_of(request.user, mine=given["mine"])
        with queries.reading() as reading:
            view = self.parameters.view(given, reading.now, scope)
            try:
                data = self.answer(Question(reading, view, given))
            except queries.BucketTooFineError as error:
                raise ValidationError({"bucket": str(error)}) from None
        response = Response(data)
        if request.accepted_renderer.format == "csv":
            response["Content-Disposition"] = attachment(self.table_name())
        return response

    def answer(self, question: Question) -> dict[str, Any]:
        """Return the answer to a question."""
        raise NotImplementedError

    def table_of(self, data: Mapping[str, Any]) -> tuple[Sequence[str], Iterable[Mapping[str, object]]]:
        """Return columns and rows of the table that CSV shows."""
        return self.table_columns(), data[self.table_name()]

    def table_name(self) -> str:
        """Return which list of the answer CSV shows."""
        return self.table

    def table_columns(self) -> Sequence[str]:
        """Return the columns of that table."""
        return self.columns


def attachment(name: str) -> str:
    """Return the Content-Disposition of a CSV file about `name`, which is ours; the time makes names differ."""
    safe = re.sub(r"[^a-z0-9-]", "-", name)
    return f'attachment; filename="{safe}-{timezone.now():%Y%m%dT%H%M%SZ}.csv"'


def cut(rows: list[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], dict[str, bool]]:
    """Return at most `limit` rows, and a field that tells when there were more."""
    return rows[:limit], {"truncated": True} if len(rows) > limit else {}
