"""REST: what happened, by period. Each view validates its parameters, asks one query, and answers."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics import queries
from analytics.durations import go_duration
from analytics.serializers import UsageParameters
from keys.authentication import IsKeyOrStaff, KeyPrincipal, namespaces_for
from keys.throttling import CallerThrottle


def scope_of(caller: object) -> queries.Scope:
    """Return which rows a caller sees: staff all, a key those of its own user in the namespaces that it may use."""
    if not isinstance(caller, KeyPrincipal):
        return queries.Scope()
    if caller.key.all_namespaces:
        return queries.Scope(caller.user_id)
    return queries.Scope(caller.user_id, tuple(namespaces_for(caller).values_list("slug", flat=True)))


class UsageView(APIView):
    """`GET /analytics/usage?period=7d&group_by=user|tool` (A.5)."""

    permission_classes = [IsKeyOrStaff]
    throttle_classes = [CallerThrottle]

    def get(self, request: Request) -> Response:
        """Return usage by user (the default) or tool over the period (24h by default)."""
        parameters = UsageParameters(data=request.query_params.dict())
        parameters.is_valid(raise_exception=True)
        period, group_by = parameters.validated_data["period"], parameters.validated_data["group_by"]
        rows = queries.usage(period, group_by, scope_of(request.user))
        answer: dict[str, Any] = {"period": go_duration(period), "results": rows[: queries.MAX_GROUPS]}
        if len(rows) > queries.MAX_GROUPS:
            answer["truncated"] = True
        return Response(answer)
