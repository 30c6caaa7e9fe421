"""The gateway's health with that of the caller's upstreams: `/api/v1/health` (B.1)."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.rest import answers
from analytics.rest.description import error_responses
from analytics.rest.endpoint import Closed
from analytics.rest.fields import WordField
from analytics.rest.parameters import Parameters
from keys.visibility import scope_of, upstreams_for
from namespaces import health
from namespaces.health import Health

RECONNECTING = "reconnecting"
_EXAMPLE = {
    "status": "degraded",
    "version": settings.VERSION,
    "uptime": 86400,
    "servers": {
        "total": 3,
        "online": 2,
        "offline": 1,
        "degraded": 0,
        "reconnecting": 0,
        "unknown": 0,
        "totalTools": 17,
    },
}


def _answer(text: str, status: str) -> OpenApiResponse:
    example = OpenApiExample(status, value=_EXAMPLE | {"status": status}, response_only=True)
    return OpenApiResponse(answers.Health, text, examples=[example])


class HealthParameters(Parameters):
    """Of GET /api/v1/health: none but the format."""

    format = WordField(choices=["json"], required=False, help_text="There is JSON only.")


@extend_schema_view(
    get=extend_schema(
        operation_id="health",
        summary="The gateway and its upstreams",
        description="How many of the upstreams that the caller's namespaces mount are in which state, as the last"
        " checks and the traffic say. 207 when one of them is not well; the gateway itself serves all the same.",
        parameters=[HealthParameters],
        responses={
            (200, "application/json"): _answer("All upstreams are well, as far as is known.", "ok"),
            (207, "application/json"): _answer("An upstream is offline or degraded.", "degraded"),
            **error_responses((400, 401, 403, 406, 429, 503)),
        },
    )
)
class HealthView(Closed):
    """`GET /api/v1/health`."""

    parameters: ClassVar[type[Parameters]] = HealthParameters

    def get(self, request: Request) -> Response:
        """Count the caller's upstreams by their state."""
        self.parameters.of(request.query_params)
        upstreams = upstreams_for(request.user, scope_of(request.user)).filter(enabled=True).select_related("status")
        found = Counter[str](dict.fromkeys((*Health.values, RECONNECTING), 0))
        total = tools = 0
        for upstream in upstreams:
            total += 1
            status = getattr(upstream, "status", None)
            tools += (status.tool_count or 0) if status is not None else 0
            found[RECONNECTING if health.is_reconnecting(upstream) else health.current(upstream)] += 1
        is_degraded = bool(found[Health.OFFLINE] + found[Health.DEGRADED] + found[RECONNECTING])
        data: dict[str, Any] = {
            "status": "degraded" if is_degraded else "ok",
            "version": settings.VERSION,
            "uptime": round(time.monotonic() - settings.STARTED_AT),
            "servers": {"total": total, **found, "totalTools": tools},
        }
        return Response(data, status=207 if is_degraded else 200)
