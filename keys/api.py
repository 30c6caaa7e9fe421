"""REST: the namespaces that a credential may use. Here, because it needs both keys and namespaces."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from keys.authentication import IsKeyOrAccount, namespaces_for
from keys.throttling import CallerThrottle


class NamespacesView(APIView):
    """`GET /namespaces`."""

    permission_classes = [IsKeyOrAccount]
    throttle_classes = [CallerThrottle]

    def get(self, request: Request) -> Response:
        """Return name and description of each enabled namespace that the caller may use."""
        rows = namespaces_for(request.user).order_by("slug").values_list("slug", "description")
        return Response({"namespaces": [{"name": name, "description": description} for name, description in rows]})
