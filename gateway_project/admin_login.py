"""The admin's answer to who has failed to sign in too often; `keys.attempts` counts."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from keys import attempts


def refusal(site: AdminSite, request: HttpRequest) -> HttpResponse | None:
    """Return the answer for who has failed to sign in too often, else None."""
    seconds = attempts.wait_s(request, attempts.SIGN_IN)
    if not seconds:
        return None
    context = {**site.each_context(request), "title": "Too many attempts", **attempts.waiting(seconds)}
    response = render(request, "admin/login_throttled.html", context, status=429)
    response["Retry-After"] = str(seconds)
    response["Cache-Control"] = "no-store"
    return response


def count_failure(request: HttpRequest) -> None:
    """Count an attempt that failed."""
    attempts.count(request, attempts.SIGN_IN)
