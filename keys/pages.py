"""My keys: the pages on which a person issues, rotates and revokes keys within what their teams may use."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from keys import presentation
from keys.forms import RotateForm
from keys.models import OVERSEERS, ApiKey, Grant, Membership, TeamNamespace
from keys.page_forms import IssueForm, refusal

MAX_ROWS = 500
MAX_LIVE_SECRETS = 5  # of one key; each rotation with an overlap leaves one more


def signed_in(request: HttpRequest) -> User:
    """Return the account of a request that `login_required` let through."""
    return cast(User, request.user)


def listed(keys: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
    """Return keys with all that a list shows."""
    grants = Prefetch("grants", queryset=Grant.objects.select_related("namespace"))
    return keys.select_related("usage", "team", "owner").prefetch_related("secrets", grants)


def rows(keys: QuerySet[ApiKey]) -> list[dict[str, Any]]:
    """Return the lines of a list of keys: those that work first, then the newest, at most MAX_ROWS."""
    found = [
        {
            "key": key,
            "state": key.state,
            "tone": presentation.TONES[key.state],
            "reach": presentation.reach(key),
            "secrets": presentation.live_secrets(key) if key.state == "active" else [],
            "usage": getattr(key, "usage", None),
        }
        for key in listed(keys).order_by("-revoked_at", "-id")[:MAX_ROWS]
    ]
    return sorted(found, key=lambda row: row["state"] != "active")


@login_required
@require_safe
@never_cache
def my_keys(request: HttpRequest) -> HttpResponse:
    """Show the keys that the person holds."""
    account = signed_in(request)
    memberships = list(Membership.objects.filter(account=account).select_related("team").order_by("team__slug"))
    context = {
        "rows": rows(ApiKey.objects.filter(owner=account)),
        "memberships": memberships,
        "overseen": [one.team for one in memberships if one.role in OVERSEERS],
    }
    return render(request, "keys/my_keys.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def issue(request: HttpRequest) -> HttpResponse:
    """Ask which team and what the key shall reach; then show the key, once."""
    account = signed_in(request)
    teams = [one.team for one in Membership.objects.filter(account=account).select_related("team")]
    chosen = request.POST.get("team") or request.GET.get("team") or (teams[0].slug if len(teams) == 1 else "")
    team = next((team for team in teams if team.slug == chosen), None)
    if chosen and team is None:
        raise Http404
    context: dict[str, Any] = {"teams": sorted(teams, key=lambda team: team.title), "team": team}
    if team is None:
        return render(request, "keys/issue.html", context)
    if request.method != "POST":
        form = IssueForm(account, team)
        return render(request, "keys/issue.html", context | {"form": form, "refusal": refusal(account)})
    with transaction.atomic():
        # Whoever takes the person or a namespace out of the team meanwhile waits, and then finds this key too.
        get_object_or_404(Membership.objects.select_for_update(), account=account, team=team)
        list(TeamNamespace.objects.select_for_update().filter(team=team))
        form = IssueForm(account, team, request.POST)
        if form.is_valid():
            key = form.save()
            return _shown(request, key, key.issue(), "Key issued")
    return render(request, "keys/issue.html", context | {"form": form})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def rotate(request: HttpRequest, key_id: int) -> HttpResponse:
    """Ask how long the old secret shall work on; then show the new one, once."""
    with transaction.atomic():
        key = own_key(request, key_id, lock=True)
        live = presentation.live_secrets(key)
        if key.state != "active":
            messages.error(request, f"{key} is {key.state}; issue a new key instead.")
            return redirect("my-keys")
        form = RotateForm(request.POST or None, label_suffix="")
        if request.method == "POST" and form.is_valid():
            overlap = form.overlap_time()
            if not overlap or len(live) < MAX_LIVE_SECRETS:
                return _shown(request, key, key.rotate(overlap), "Key rotated")
            form.add_error("overlap", f"{len(live)} secrets of this key work still. End them at once, or wait.")
    return render(request, "keys/rotate.html", {"key": key, "form": form})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """Name what breaks, then revoke."""
    key = own_key(request, key_id)
    if request.method == "POST":
        revoke_once(request, key)
        return redirect("my-keys")
    return render(request, "keys/revoke.html", {"effect": presentation.loss(key), "back": reverse("my-keys")})


def own_key(request: HttpRequest, key_id: int, *, lock: bool = False) -> ApiKey:
    """Return one of the person's keys; raises Http404 for another's as for one that does not exist."""
    keys = ApiKey.objects.filter(owner=signed_in(request))
    if lock:
        get_object_or_404(keys.select_for_update(), pk=key_id)
    return get_object_or_404(listed(keys), pk=key_id)


def revoke_once(request: HttpRequest, key: ApiKey) -> None:
    """Revoke a key that is not revoked yet, and say so on the next page."""
    if key.revoked_at is None:
        key.revoke()
    messages.success(request, f"{key} is revoked. It is refused from its next request on.")


def _shown(request: HttpRequest, key: ApiKey, secret: str, title: str) -> HttpResponse:
    context = presentation.shown_once(request, key, secret) | {"title": title}
    response = render(request, "keys/issued.html", context)
    response["Cache-Control"] = "no-store"
    return response
