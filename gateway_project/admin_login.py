"""How often somebody may fail to sign in: per address, and per user name."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_ratelimit.core import get_usage

PER_ADDRESS = "30/5m"
PER_NAME = "10/5m"


def _address(group: str, request: HttpRequest) -> str:
    """Return the client's address; a Unix socket in front has none, and all its clients count as one."""
    return request.META.get("REMOTE_ADDR") or "local"


def _name(group: str, request: HttpRequest) -> str:
    """Return the user name as it would be compared, however it is written."""
    return unicodedata.normalize("NFKC", request.POST.get("username", "")[:256]).casefold()


LIMITS: tuple[tuple[str, Callable[[str, HttpRequest], str], str], ...] = (
    ("sign-in by address", _address, PER_ADDRESS),
    ("sign-in by name", _name, PER_NAME),
)


def refusal(site: AdminSite, request: HttpRequest) -> HttpResponse | None:
    """Return the answer for who has failed to sign in too often, else None."""
    if request.method != "POST":
        return None
    wait_s = 0
    for usage in _usages(request, increment=False):
        if usage["count"] >= usage["limit"]:
            wait_s = max(wait_s, usage["time_left"], 1)
    return _too_many(site, request, wait_s) if wait_s else None


def count_failure(request: HttpRequest) -> None:
    """Count an attempt that failed. Requests that run side by side may go over the limit by their number."""
    _usages(request, increment=True)


def _usages(request: HttpRequest, *, increment: bool) -> list[dict[str, Any]]:
    return [
        get_usage(request, group=group, key=key, rate=rate, method="POST", increment=increment)
        for group, key, rate in LIMITS
    ]


def _too_many(site: AdminSite, request: HttpRequest, wait_s: int) -> HttpResponse:
    context = {
        **site.each_context(request),
        "title": "Too many attempts",
        "minutes": -(-wait_s // 60),
        "until": time.strftime("%H:%M:%S", time.gmtime(time.time() + wait_s)),
    }
    response = render(request, "admin/login_throttled.html", context, status=429)
    response["Retry-After"] = str(wait_s)
    response["Cache-Control"] = "no-store"
    return response
