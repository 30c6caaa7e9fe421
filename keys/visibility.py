"""Whose calls a caller of the analytics may see: everybody's, a team's, or its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import User
from django.db.models import CharField, F, QuerySet, Value
from django.db.models.functions import Cast

from keys.authentication import KeyPrincipal, live_keys, namespaces_for, sees_everything
from keys.models import OVERSEERS, ApiKey, Membership, Sees, TeamNamespace
from namespaces.models import Namespace, Upstream

EVERYTHING, TEAM, MINE = "everything", "team", "mine"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls somebody may see; both restrictions hold together, and None is no restriction.

    `namespaces` are slugs, `user_ids` the users of API keys. An empty tuple is nothing at all.
    """

    namespaces: tuple[str, ...] | None = None
    user_ids: tuple[str, ...] | None = None
    sees_addresses: bool = False


NOTHING = Scope((), ())


def scope_of(caller: object, *, mine: bool = False) -> Scope:
    """Return what the caller (a key's principal or a signed-in account) may see, with at most three statements.

    Args: mine: only the caller's own calls, whatever else it may see.
    """
    if isinstance(caller, KeyPrincipal):
        return _scope_of_key(caller, mine)
    if not isinstance(caller, User) or not caller.is_active:
        return NOTHING
    everything = sees_everything(caller)
    if everything and not mine:
        return Scope(sees_addresses=True)
    standing = _Standing(caller)
    if everything:
        return Scope(user_ids=standing.users, sees_addresses=True)
    if standing.oversees and not mine:
        return Scope(standing.overseen, None, sees_addresses=True)
    return Scope(None if standing.is_everywhere else standing.usable, standing.users)


def upstreams_for(caller: object, scope: Scope) -> QuerySet[Upstream]:
    """Return the upstreams that the caller may know of: all of them, or those that its namespaces mount.

    Args: scope: what `scope_of` returned for this caller.
    """
    if scope.namespaces is None and scope.user_ids is None:
        return Upstream.objects.all()
    if scope.user_ids is not None:
        mounted: QuerySet[Namespace] = namespaces_for(caller)
    else:
        mounted = Namespace.objects.filter(slug__in=scope.namespaces or ())
    return Upstream.objects.filter(pk__in=mounted.order_by().values("mount__upstream"))


def perspectives(account: User) -> tuple[str, ...]:
    """Return the perspectives that a page offers to an account, the widest first.

    `mine` stands for `scope_of(account, mine=True)`, and what comes before it for `scope_of(account)`.
    """
    if not account.is_active:
        return ()
    if sees_everything(account):
        return EVERYTHING, MINE
    return (TEAM, MINE) if Membership.objects.filter(account=account, role__in=OVERSEERS).exists() else (MINE,)


def _scope_of_key(caller: KeyPrincipal, mine: bool) -> Scope:
    key = caller.key
    if not mine and key.sees == Sees.ALL:
        return Scope()
    if not mine and key.sees == Sees.TEAM and key.team_id is not None:
        slugs = TeamNamespace.objects.filter(team=key.team_id).order_by("namespace__slug")
        return Scope(tuple(slugs.values_list("namespace__slug", flat=True)))
    own = Scope(user_ids=(caller.user_id,))
    if key.all_namespaces:
        return own
    return replace(own, namespaces=tuple(namespaces_for(caller).order_by("slug").values_list("slug", flat=True)))


class _Standing:
    """An account's teams, namespaces and users, by one statement.

    A key that was revoked or has run out still tells whose calls are the account's own, and grants nothing.
    Namespaces count while they are disabled too: their past can be looked at.
    """

    def __init__(self, account: User) -> None:
        found: dict[str, set[str]] = {}
        rows = _overseen(account).union(_shared(account), _granted(account), _own(account), all=True)
        for kind, text in rows:
            found.setdefault(kind, set()).add(text)
        self.oversees = "oversees" in found  # a team without namespaces is one too
        self.is_everywhere = "everywhere" in found
        self.overseen = _sorted(found.get("oversees"))
        self.usable = _sorted(found.get("uses"))
        self.users = _sorted(found.get("user"))


def _sorted(texts: set[str] | None) -> tuple[str, ...]:
    return tuple(sorted(text for text in texts or () if text))


def _rows(rows: QuerySet[Any], kind: str, column: str) -> QuerySet[Any]:
    text = Value("") if not column else Cast(F(column), CharField())
    return rows.order_by().values_list(Value(kind, CharField()), text)


def _overseen(account: User) -> QuerySet[Any]:
    memberships = Membership.objects.filter(account=account, role__in=OVERSEERS)
    return _rows(memberships, "oversees", "team__namespaces__namespace__slug")


def _shared(account: User) -> QuerySet[Any]:
    owned = TeamNamespace.objects.filter(team__memberships__account=account)
    return _rows(owned, "uses", "namespace__slug")


def _granted(account: User) -> QuerySet[Any]:
    granted = live_keys().filter(owner=account, grants__isnull=False)
    everywhere = live_keys().filter(owner=account, all_namespaces=True)
    return _rows(granted, "uses", "grants__namespace__slug").union(_rows(everywhere, "everywhere", ""), all=True)


def _own(account: User) -> QuerySet[Any]:
    return _rows(ApiKey.objects.filter(owner=account), "user", "user_id")
