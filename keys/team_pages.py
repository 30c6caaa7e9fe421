"""The page of a team: its members, namespaces and keys; admins manage, auditors look."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from keys import attempts, presentation
from keys.models import OVERSEERS, ApiKey, Membership, Role, Team, TeamNamespace
from keys.page_forms import MemberForm, RoleForm
from keys.pages import listed, revoke_once, rows, signed_in

# One sentence for every reason, so that it tells nobody which accounts there are.
NOT_ADDED = "Nobody was added: there is no active account of this name, or it is in the team already."
LAST_ADMIN = "This is the team's last admin. Make somebody else an admin first."


def _team(request: HttpRequest, slug: str, *, to_manage: bool = True) -> Team:
    """Return a team that the person oversees.

    Raises Http404 for who does not, as if there were no such team, and PermissionDenied for an auditor who would
    change something.
    """
    mine = Membership.objects.select_related("team").filter(account=signed_in(request), role__in=OVERSEERS)
    membership = get_object_or_404(mine, team__slug=slug)
    if to_manage and membership.role != Role.ADMIN:
        raise PermissionDenied
    return membership.team


@login_required
@require_safe
@never_cache
def team_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a team to its admins and auditors."""
    team = _team(request, slug, to_manage=False)
    return render(request, "keys/team.html", _context(request, team, MemberForm(label_suffix="")))


def _context(request: HttpRequest, team: Team, form: MemberForm) -> dict[str, object]:
    members = list(team.memberships.select_related("account").order_by("account__username"))
    me = signed_in(request)
    return {
        "team": team,
        "members": members,
        "roles": Role.values,
        "namespaces": TeamNamespace.objects.filter(team=team).select_related("namespace").order_by("namespace__slug"),
        "rows": rows(team.keys.all()),
        "may_manage": any(one.account_id == me.pk and one.role == Role.ADMIN for one in members),
        "form": form,
    }


@login_required
@require_POST
def add_member(request: HttpRequest, slug: str) -> HttpResponse:
    """Add an account by its name; guesses are counted."""
    team = _team(request, slug)
    seconds = attempts.wait_s(request, attempts.USER_NAME)
    if seconds:
        response = render(request, "accounts/too_many.html", attempts.waiting(seconds), status=429)
        response["Retry-After"] = str(seconds)
        return response
    form = MemberForm(request.POST, label_suffix="")
    if form.is_valid():
        name, role = form.cleaned_data["username"], form.cleaned_data["role"]
        account = User.objects.filter(username=name, is_active=True).first()
        if (
            account is not None
            and Membership.objects.get_or_create(team=team, account=account, defaults={"role": role})[1]
        ):
            messages.success(request, f"{account} is in the team now, as {role}.")
            return redirect("team", slug=team.slug)
        attempts.count(request, attempts.USER_NAME)
        form.add_error("username", NOT_ADDED)
    return render(request, "keys/team.html", _context(request, team, form), status=400)


def _locked(team: Team, account_id: int) -> tuple[Membership, bool]:
    """Return a membership, locked, and whether the team has another active admin, who cannot leave meanwhile."""
    found = team.memberships.select_for_update(of=("self",)).select_related("account")
    members = {one.account_id: one for one in found}
    if account_id not in members:
        raise Http404
    others = [one for one in members.values() if one.role == Role.ADMIN and one.account_id != account_id]
    return members[account_id], any(one.account.is_active for one in others)


@login_required
@require_POST
def change_role(request: HttpRequest, slug: str, account_id: int) -> HttpResponse:
    """Give a member another role, unless nobody would be left to manage the team."""
    team = _team(request, slug)
    form = RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "There is no such role.")
        return redirect("team", slug=slug)
    role = form.cleaned_data["role"]
    with transaction.atomic():
        membership, is_covered = _locked(team, account_id)
        if membership.role == Role.ADMIN and role != Role.ADMIN and not is_covered:
            messages.error(request, LAST_ADMIN)
        elif membership.role != role:
            membership.role = role
            membership.save(update_fields=["role"])
            messages.success(request, f"{membership.account} is {role} now.")
    return _onwards(request, slug)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def remove_member(request: HttpRequest, slug: str, account_id: int) -> HttpResponse:
    """Name the keys that end, then take an account out of the team."""
    team = _team(request, slug)
    if request.method != "POST":
        membership = get_object_or_404(team.memberships.select_related("account"), account=account_id)
        keys = listed(team.keys.filter(owner=account_id, revoked_at__isnull=True))
        context = {"team": team, "membership": membership, "effects": [presentation.loss(key) for key in keys]}
        return render(request, "keys/remove_member.html", context)
    with transaction.atomic():
        membership, is_covered = _locked(team, account_id)
        if membership.role == Role.ADMIN and not is_covered:
            messages.error(request, LAST_ADMIN)
        else:
            membership.delete()  # a trigger revokes the keys
            messages.success(request, f"{membership.account} is no longer in the team.")
    return _onwards(request, slug)


def _onwards(request: HttpRequest, slug: str) -> HttpResponse:
    """Lead back to the team, or away from it for who has just given up their place there."""
    mine = Membership.objects.filter(account=signed_in(request), team__slug=slug, role__in=OVERSEERS)
    return redirect("team", slug=slug) if mine.exists() else redirect("my-keys")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def revoke_key(request: HttpRequest, slug: str, key_id: int) -> HttpResponse:
    """Name what breaks, then revoke a key of the team, whoever holds it."""
    team = _team(request, slug)
    key: ApiKey = get_object_or_404(listed(team.keys.all()), pk=key_id)
    if request.method == "POST":
        revoke_once(request, key)
        return redirect("team", slug=slug)
    context = {"effect": presentation.loss(key), "back": reverse("team", args=[slug])}
    return render(request, "keys/revoke.html", context)
