"""What every answer of Django carries and leaves behind: a request id, its duration, one access line."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from keys.redaction import redact

logger = logging.getLogger("gateway.access")
_REQUEST_ID = re.compile(r"(?!.*mcpgw_)[A-Za-z0-9._-]{1,64}\Z")


class RequestIdMiddleware:
    """Echoes a sane X-Request-Id or makes one, adds X-Response-Time-Ms, writes the access line."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        given = request.headers.get("X-Request-Id", "")
        request.request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex  # type: ignore[attr-defined]
        response = self.get_response(request)
        elapsed_ms = (time.perf_counter() - started) * 1000
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        response["X-Response-Time-Ms"] = f"{elapsed_ms:.1f}"
        if settings.ACCESS_LOG:
            _write_line(request, response.status_code, elapsed_ms)
        return response


def _write_line(request: HttpRequest, status: int, elapsed_ms: float) -> None:
    """Log one line; the query stays out, because keys are sometimes sent there by mistake."""
    level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
    logger.log(
        level,
        "request_completed",
        extra={
            "request_id": request.request_id,  # type: ignore[attr-defined]
            "method": request.method,
            "path": redact(request.path)[:500],
            "status": status,
            "latency_ms": round(elapsed_ms, 1),
            "client_ip": request.META.get("REMOTE_ADDR", ""),
            "user": _user_name(request),
        },
    )


def _user_name(request: HttpRequest) -> str:
    """Return the signed-in user's name where somebody has asked for it already: no query for the log's sake."""
    user = getattr(request, "_cached_user", None)
    return user.get_username() if user is not None else ""
