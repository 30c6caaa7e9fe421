"""The request log: `/api/v1/requests` (B.8) page by page or as one long CSV, `/api/v1/requests/<id>` for one call."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import queries
from analytics.rest import examples
from analytics.rest import log_answers as answers
from analytics.rest.call_fields import fields
from analytics.rest.call_parameters import CallParameters, sealed, wanted
from analytics.rest.description import described
from analytics.rest.endpoint import Closed
from analytics.rest.export import export
from analytics.rest.fields import FlagField, WordField
from analytics.rest.parameters import Parameters
from analytics.rest.renderers import CsvRenderer
from analytics.rest.stages import stages
from keys.visibility import NOTHING, scope_of

_ID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_CSV_NOTE = (
    " As CSV the rows are streamed, up to GATEWAY_CSV_MAX_ROWS of them; when there were more, a last line that begins"
    " with `# cut` says so and names the cursor to go on from."
)


@extend_schema_view(
    get=described(
        "requests",
        "The request log",
        "Single calls, the newest first. `nextCursor` is null on the last page; rows that arrive meanwhile shift"
        " nothing. Seven days when no period is given. Times are milliseconds; the client's address is there for those"
        " who may see it." + _CSV_NOTE,
        CallParameters,
        answers.Calls,
        example=examples.CALLS,
    )
)
class CallsView(Closed):
    """`GET /api/v1/requests?limit=50&server=…&cursor=…`."""

    renderer_classes = [JSONRenderer, CsvRenderer]

    def get(self, request: Request) -> HttpResponseBase:
        """Return a page of the log, or begin to stream it as CSV."""
        is_csv = request.accepted_renderer.format == "csv"
        given = CallParameters.of(request.query_params, format="csv" if is_csv else "json")
        scope = scope_of(request.user, mine=given["mine"])
        if given.get("via") == "rest":
            scope = NOTHING  # every call on record came by MCP
        with queries.reading() as reading:
            view = CallParameters.view(given, reading.now, scope)
            if not is_csv:
                return Response(_page(reading, view, given))
        return export(request, view, wanted(given), given)


def _page(reading: queries.Reading, view: queries.View, given: dict[str, Any]) -> dict[str, Any]:
    page = queries.calls(reading, view, wanted(given), given["limit"], given.get("cursor"))
    return {
        "requests": [fields(call) for call in page.calls],
        "nextCursor": sealed(page.next_cursor),
        "source": "postgres",
    }


class OneCallParameters(Parameters):
    """Of GET /api/v1/requests/<id>."""

    format = WordField(choices=["json"], required=False, help_text="There is JSON only.")
    mine = FlagField(required=False, default=False, help_text="Only if it is the caller's own.")


@extend_schema_view(
    get=described(
        "request",
        "One call with its stages",
        "Everything on record about one call, and where its time went. A call that the caller may not see is a 404,"
        " like one that does not exist.",
        OneCallParameters,
        answers.OneCall,
        example=examples.ONE_CALL,
        csv=False,
        errors=(404,),
        path=[OpenApiParameter("id", str, OpenApiParameter.PATH, description="The call's `id` in the request log.")],
    )
)
class CallView(Closed):
    """`GET /api/v1/requests/<id>`."""

    def get(self, request: Request, id: str) -> Response:
        """Return one call. Raises NotFound."""
        given = OneCallParameters.of(request.query_params)
        scope = scope_of(request.user, mine=given["mine"])
        call = None
        if _ID.fullmatch(id):
            with queries.reading() as reading:
                call = queries.call(reading, scope, uuid.UUID(id))
        if call is None:
            raise NotFound("There is no such call among those that you may see.")
        return Response(fields(call) | {"stages": stages(call)})
