"""How often somebody may try to sign in: per address, and per user name."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable

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
    """Count an attempt to sign in; return the answer when there were too many, else None.

    Every attempt counts, a good one too: what is looked at afterwards could be raced.
    """
    if request.method != "POST":
        return None
    wait_s = 0
    for group, key, rate in LIMITS:
        usage = get_usage(request, group=group, key=key, rate=rate, method="POST", increment=True)
        if usage is not None and usage["should_limit"]:
            wait_s = max(wait_s, usage["time_left"], 1)
    if not wait_s:
        return None
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
