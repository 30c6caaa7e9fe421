"""The one shape of every error of the REST API: {"error": {"reason", "message", "field"?}}."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from analytics.queries import InvalidCursorError

logger = logging.getLogger(__name__)

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.ValidationError, "invalid_parameter"),
    (exceptions.ParseError, "invalid_request"),
    (exceptions.NotAuthenticated, "unauthenticated"),
    (exceptions.AuthenticationFailed, "unauthenticated"),
    (exceptions.PermissionDenied, "forbidden"),
    (PermissionDenied, "forbidden"),
    (exceptions.NotFound, "not_found"),
    (Http404, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.NotAcceptable, "not_acceptable"),
    (exceptions.UnsupportedMediaType, "unsupported_media_type"),
    (exceptions.Throttled, "rate_limited"),
)
_NO_CREDENTIAL = "No credential; send an API key as Authorization: Bearer <key> or X-API-Key: <key>."


def rest_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the response for an exception of a REST view; None leaves a fault of our own to Django.

    The setting EXCEPTION_HANDLER of Django REST framework names this function.
    """
    if isinstance(error, OperationalError | InterfaceError):
        return _database_unavailable(error)
    if isinstance(error, SuspiciousOperation):  # such as a query with over a thousand parameters
        error = exceptions.ParseError("The server could not make sense of this request.")
    if isinstance(error, InvalidCursorError):  # one that a former version gave out
        error = exceptions.ValidationError({"cursor": str(error)})
    response = exception_handler(error, context)
    if response is None:
        return None
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "error")
    field, message = _describe(error)
    response.data = {"error": {"reason": reason, "message": message} | ({"field": field} if field else {})}
    return response


def _describe(error: Exception) -> tuple[str | None, str]:
    """Return the parameter at fault, if one is, and a sentence."""
    if isinstance(error, exceptions.NotAuthenticated):
        return None, _NO_CREDENTIAL
    detail = getattr(error, "detail", None)
    if isinstance(detail, dict) and detail:
        field, messages = next(iter(detail.items()))
        text = str(messages[0] if isinstance(messages, list) else messages)
        return (None, text) if field == "non_field_errors" else (str(field), f"{field}: {text}")
    if isinstance(detail, list) and detail:
        return None, str(detail[0])
    return None, str(detail if detail is not None else error) or type(error).__name__


def _database_unavailable(error: Exception) -> Response:
    logger.warning("a REST request failed at the database: %s", str(error).strip())
    response = Response(
        {
            "error": {
                "reason": "unavailable",
                "message": "The database did not answer in time; try again shortly, or ask for a shorter period.",
            }
        },
        status=503,
    )
    response["Retry-After"] = "5"
    return response
