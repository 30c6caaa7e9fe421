"""How often one caller may use the REST API: GATEWAY_REST_RATE, such as 600/m, counted by django-ratelimit.

A fixed window in each process (shared through Redis when REDIS_URL is set), which is right for what it guards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

if TYPE_CHECKING:  # REST framework imports this module while it is still importing its views
    from rest_framework.views import APIView


def _count(request: HttpRequest, group: str, name: str) -> float | None:
    """Count one event and return None, or the seconds to wait when there were too many."""
    usage = get_usage(request, group=group, key=lambda *_: name, rate=settings.REST_RATE, increment=True)
    if usage is None or not usage["should_limit"]:
        return None
    return float(max(1, usage["time_left"]))


class CallerThrottle(BaseThrottle):
    """Counts the requests of a key, or of a signed-in account."""

    _wait: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count the request and return whether it may pass."""
        name = getattr(request.user, "throttle_key", None) or f"account:{getattr(request.user, 'pk', None)}"
        self._wait = _count(request._request, "rest", name)
        return self._wait is None

    def wait(self) -> float | None:
        """Return after how many seconds the caller may try again."""
        return self._wait
