"""Errors that no view of the REST API sees, such as a path that there is not: JSON under its paths, pages elsewhere."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

_PREFIXES = ("/analytics/", "/api/", "/namespaces/")


def _answer(request: HttpRequest, status: int, reason: str, message: str) -> HttpResponse | None:
    if not request.path.startswith(_PREFIXES):
        return None
    error = {"error": {"reason": reason, "message": message}}
    return JsonResponse(error, status=status, headers={"Cache-Control": "private, no-store"})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself refused."""
    found = _answer(request, 400, "invalid_request", "The server could not make sense of this request.")
    return found or defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a path that leads nowhere."""
    found = _answer(request, 404, "not_found", "There is nothing at this path; /openapi.json lists what there is.")
    return found or defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a fault of our own."""
    message = "Something went wrong; the gateway's log has it under this answer's X-Request-Id."
    return _answer(request, 500, "error", message) or defaults.server_error(request)
