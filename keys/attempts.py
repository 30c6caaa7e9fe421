"""How often somebody may try what can be guessed at: sign-in, password resets, user names. Counted by django-ratelimit.

A fixed window in each process (shared through Redis when REDIS_URL is set), which is right for what it guards.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django_ratelimit.core import get_usage


def by_address(group: str, request: HttpRequest) -> str:
    """Return the client's address; a Unix socket in front has none, and all its clients count as one."""
    return request.META.get("REMOTE_ADDR") or "local"


def by_account(group: str, request: HttpRequest) -> str:
    """Return the signed-in account's number."""
    return str(request.user.pk)


def by_field(name: str) -> Callable[[str, HttpRequest], str]:
    """Return a function that takes a field of the form as it would be compared, however it is written."""

    def value(group: str, request: HttpRequest) -> str:
        return unicodedata.normalize("NFKC", request.POST.get(name, "")[:256]).strip().casefold()

    return value


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts of one kind may be made; `rate` is a number and a time, such as 30/5m."""

    group: str
    key: Callable[[str, HttpRequest], str]
    rate: str


# The admin and the pages for everybody count the same sign-ins.
SIGN_IN = (Limit("sign-in by address", by_address, "30/5m"), Limit("sign-in by name", by_field("username"), "10/5m"))
RESET = (Limit("reset by address", by_address, "20/h"), Limit("reset by mail address", by_field("email"), "5/h"))
OLD_PASSWORD = (Limit("old password", by_account, "10/5m"),)
USER_NAME = (Limit("user name", by_account, "20/h"),)


def wait_s(request: HttpRequest, limits: Sequence[Limit]) -> int:
    """Return the seconds until a POST may be tried again; 0: now. Counts nothing."""
    if request.method != "POST":
        return 0
    spent = [usage for usage in _usages(request, limits, increment=False) if usage["count"] >= usage["limit"]]
    return max((max(1, usage["time_left"]) for usage in spent), default=0)


def count(request: HttpRequest, limits: Sequence[Limit]) -> None:
    """Count an attempt. Requests that run side by side may go over a limit by their number."""
    _usages(request, limits, increment=True)


def waiting(seconds: int) -> dict[str, Any]:
    """Return how a page says the wait: `minutes`, rounded up, and `until`, a time of day in UTC."""
    return {"minutes": -(-seconds // 60), "until": time.strftime("%H:%M:%S", time.gmtime(time.time() + seconds))}


def _usages(request: HttpRequest, limits: Sequence[Limit], *, increment: bool) -> list[dict[str, Any]]:
    return [
        get_usage(request, group=limit.group, key=limit.key, rate=limit.rate, method="POST", increment=increment)
        for limit in limits
    ]
