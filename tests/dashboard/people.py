"""The configuration that goes with the story: namespaces, upstreams, keys, a team, and accounts that look at it."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from keys.models import ApiKey, Grant, Membership, Team, TeamNamespace
from namespaces.models import HealthSpan, Mount, Namespace, Upstream
from tests.dashboard.story import KEYS, NAMESPACES

PASSWORD = "correct horse battery staple"
ADMIN, AUDITOR, MEMBER = "ada", "olga", "alice"
TEAM_NAMESPACES = ("docs", "github")


def settle() -> None:
    """Store it all: `ada` sees everything, `olga` her team's calls, `alice` her own."""
    for slug, (upstream, _) in NAMESPACES.items():
        server = Upstream.objects.create(slug=upstream, url=f"http://127.0.0.1:9/{upstream}")
        namespace = Namespace.objects.create(slug=slug, description=f"{slug.title()} for the team")
        Mount.objects.create(namespace=namespace, upstream=server)
        _be_away(server)
    User.objects.create_superuser(ADMIN, password=PASSWORD)
    auditor = User.objects.create_user(AUDITOR, password=PASSWORD)
    member = User.objects.create_user(MEMBER, password=PASSWORD)
    team = Team.objects.create(slug="platform", name="Platform")
    for slug in TEAM_NAMESPACES:
        TeamNamespace.objects.create(team=team, namespace=Namespace.objects.get(slug=slug))
    Membership.objects.create(team=team, account=auditor, role="auditor")
    Membership.objects.create(team=team, account=member, role="member")
    for user, number in KEYS.items():
        owner = member if user == MEMBER else None
        key = ApiKey.objects.create(
            id=number, user_id=user, description="laptop", owner=owner, team=team if owner else None
        )
        key.issue()
        for namespace in Namespace.objects.all():
            Grant.objects.create(key=key, namespace=namespace)


def _be_away(server: Upstream) -> None:
    """Tell of a server's last week: well, but for an hour three days ago and a slow evening."""
    now = timezone.now()
    for state, begin_h, end_h, reason in (
        ("online", 168, 72, ""),
        ("offline", 72, 71, "refused"),
        ("online", 71, 20, ""),
        ("degraded", 20, 16, "first_byte_timeout"),
        ("online", 16, 0, ""),
    ):
        began, ended = (now - timedelta(hours=hours) for hours in (begin_h, end_h))
        HealthSpan.objects.create(upstream=server, health=state, began_at=began, ended_at=ended, reason=reason)
