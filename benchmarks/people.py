"""Who reads the analytics: a superuser, an auditor and a member of a team, each signed in as a person signs in.

For Django's set-up process only (see `seeded.adopt`): the accounts are made in the gateway's own tables.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse
from django.urls.exceptions import NoReverseMatch

from keys.models import ApiKey, Membership, Role, Team, TeamNamespace
from keys.visibility import Scope, scope_of
from namespaces.models import Namespace
from tests.gateway import Gateway

TEAM = "bench-team"
SUPERUSER, AUDITOR, MEMBER = "superuser", "auditor", "member"
ROLES = (SUPERUSER, AUDITOR, MEMBER)
# Which of the namespaces, by their number of calls, belong to the team: busy ones and quiet ones.
_TEAM_RANKS = (0, 2, 7, 19, 44)
# Whose calls are the member's own: the user with this place in the ranking.
_MEMBER_RANK = 9


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in: the account, what it may see, and a client with its cookies."""

    role: str
    account: User
    scope: Scope
    client: httpx.Client


def sign_in(gateway: Gateway, namespaces: Sequence[str], users: Sequence[str]) -> dict[str, Person]:
    """Make the accounts and sign them in; return them by role.

    Args: namespaces, users: names of the log, the busiest first.
    """
    accounts = _accounts(namespaces, users)
    return {
        role: Person(role, account, scope_of(account), _client(gateway, account.username, password))
        for role, (account, password) in accounts.items()
    }


def _accounts(namespaces: Sequence[str], users: Sequence[str]) -> dict[str, tuple[User, str]]:
    """Return account and password by role; those of an earlier run are used again, with a new password."""
    made = {}
    for role in ROLES:
        password = secrets.token_urlsafe(24)
        account, _ = User.objects.get_or_create(username=f"bench-{role}")
        account.is_superuser = account.is_staff = role == SUPERUSER
        account.set_password(password)
        account.save()
        made[role] = account, password
    team, _ = Team.objects.get_or_create(slug=TEAM)
    for role, rank in ((AUDITOR, Role.AUDITOR), (MEMBER, Role.MEMBER)):
        Membership.objects.get_or_create(team=team, account=made[role][0], defaults={"role": rank})
    owned = [namespaces[rank] for rank in _TEAM_RANKS if rank < len(namespaces)]
    for namespace in Namespace.objects.filter(slug__in=owned, team_namespace=None):
        TeamNamespace.objects.create(team=team, namespace=namespace)
    ApiKey.objects.filter(user_id=users[min(_MEMBER_RANK, len(users) - 1)]).update(owner=made[MEMBER][0])
    return made


def _client(gateway: Gateway, username: str, password: str) -> httpx.Client:
    """Return a client that has signed in with the page's own form."""
    client = httpx.Client(base_url=gateway.base, timeout=60)
    page = _sign_in_page()
    client.get(page).raise_for_status()
    token = client.cookies[settings.CSRF_COOKIE_NAME]
    form = {"username": username, "password": password, "csrfmiddlewaretoken": token}
    answer = client.post(page, data=form, headers={"Referer": gateway.base + page})
    assert answer.status_code == 302 and settings.SESSION_COOKIE_NAME in client.cookies, f"{username} is not let in"
    return client


def _sign_in_page() -> str:
    try:
        return reverse(settings.LOGIN_URL)
    except NoReverseMatch:
        return str(settings.LOGIN_URL)
