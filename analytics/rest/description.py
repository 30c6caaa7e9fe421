"""How endpoints describe themselves for /openapi.json: parameters, answers, errors, credentials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiViewExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from analytics.rest import answers

_ERRORS = {
    400: ("A parameter is wrong, absurd, unknown or repeated; `field` names it.", "invalid_parameter", "limit"),
    401: ("No credential, or not a usable one.", "unauthenticated", None),
    403: ("The account may not use the API.", "forbidden", None),
    404: ("There is no such thing, or the caller may not see it.", "not_found", None),
    406: ("The answer cannot be had in that form.", "not_acceptable", None),
    429: ("Too many requests; `Retry-After` tells how many seconds to wait.", "rate_limited", None),
    503: ("The database did not answer in time; ask for a shorter period.", "unavailable", None),
}
_ALWAYS = (400, 401, 403, 406, 429, 503)
_MESSAGES = {
    "limit": "limit: write a whole number from 1 to 1000",
    "unauthenticated": "No credential; send an API key as Authorization: Bearer <key> or X-API-Key: <key>.",
}


class Schema(AutoSchema):
    """The description of one operation; what Swagger files it under is the first part of its path."""

    def get_tags(self) -> list[str]:
        """Return the one heading that the operation stands under."""
        if self.path.startswith("/api/v1/"):
            return ["Request log and metrics"]
        return ["Analytics"] if self.path.startswith("/analytics/") else ["Access"]


def described(
    operation: str,
    summary: str,
    text: str,
    parameters: type[serializers.Serializer[Any]],
    answer: type[serializers.Serializer[Any]],
    *,
    csv: bool = True,
    errors: Sequence[int] = (),
    example: dict[str, Any] | None = None,
    path: Sequence[OpenApiParameter] = (),
) -> Any:
    """Return what `extend_schema_view` wants for a GET endpoint.

    Args: csv: whether the answer's table can be had as CSV; errors: statuses besides those that every endpoint
    has; example: an answer.
    """
    shown = [OpenApiExample("answer", value=example, response_only=True, status_codes=["200"])] if example else []
    responses: dict[Any, Any] = {(200, "application/json"): OpenApiResponse(answer, "The answer.", examples=shown)}
    if csv:
        responses[(200, "text/csv")] = OpenApiResponse(OpenApiTypes.STR, "The answer's table, with a header row.")
    responses |= error_responses({*_ALWAYS, *errors})
    return extend_schema(
        operation_id=operation,
        summary=summary,
        description=text,
        parameters=[parameters, *path],
        responses=responses,
    )


def error_responses(statuses: Iterable[int]) -> dict[Any, Any]:
    """Return the answers of these statuses, each with an example."""
    return {(status, "application/json"): _error(status) for status in sorted(statuses)}


def _error(status: int) -> OpenApiResponse:
    text, reason, field = _ERRORS[status]
    value = {"reason": reason, "message": _MESSAGES.get(field or reason, text)} | ({"field": field} if field else {})
    example = OpenApiExample(reason, value={"error": value}, response_only=True, status_codes=[str(status)])
    return OpenApiResponse(answers.Error, text, examples=[example])


class KeyScheme(OpenApiAuthenticationExtension):
    """An API key, in either of two headers."""

    target_class = "keys.authentication.ApiKeyAuthentication"
    name = ["bearer", "apiKeyHeader"]  # type: ignore[assignment]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        """Return that either of them is enough."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, str]]:
        """Return both ways to send a key."""
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer <key>`."},
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "The same key in a header of its own.",
            },
        ]


class SessionScheme(OpenApiAuthenticationExtension):
    """The cookie of somebody who has signed in with a browser."""

    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """Return the session cookie's name."""
        from django.conf import settings

        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "The cookie of a signed-in account.",
        }


class NamespacesDescription(OpenApiViewExtension):
    """Describes `/namespaces`, whose package knows nothing of analytics."""

    target_class = "keys.api.NamespacesView"

    def view_replacement(self) -> Any:
        """Return the view with its description."""
        described_view = extend_schema(
            operation_id="namespaces",
            summary="Namespaces that the caller may use",
            description="Name and description of each; the MCP endpoint of a namespace is `/mcp/<name>`.",
            responses={200: answers.NamespaceList} | {status: _error(status) for status in (401, 403, 429, 503)},
        )

        class Described(self.target_class):  # type: ignore[name-defined, misc]
            @described_view
            def get(self, request: Any) -> Any:
                return super().get(request)

        return Described
