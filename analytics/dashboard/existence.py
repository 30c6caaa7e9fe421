"""Whether somebody may know of a thing at all: what they may not see answers 404 like what does not exist."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from django.db.models import QuerySet
from django.http import Http404

from analytics import queries
from analytics.dashboard.look import Look
from analytics.queries import View
from keys.models import ApiKey
from namespaces.models import Namespace

# A name without calls in the chosen period is looked for this far back.
_REACH = timedelta(days=90)


def require_calls(look: Look, view: View) -> None:
    """Raise Http404 unless there are calls that the scope allows, in the view or within the last 90 days."""
    if not has_calls(look, view):
        raise Http404


def has_calls(look: Look, view: View) -> bool:
    """Return whether there are calls that the scope allows, in the view or within the last 90 days."""
    since = min(view.since, look.reading.now - _REACH)
    wide = replace(view, since=since, until=max(view.until, look.reading.now), namespace=view.namespace)
    return queries.totals(look.reading, wide).calls > 0


def allows_namespace(look: Look, slug: str) -> bool:
    """Return whether the scope allows a namespace, existing or not."""
    return look.scope.namespaces is None or slug in look.scope.namespaces


def allows_user(look: Look, user_id: str) -> bool:
    """Return whether the scope allows a user, existing or not."""
    return look.scope.user_ids is None or user_id in look.scope.user_ids


def visible_keys(look: Look) -> QuerySet[ApiKey]:
    """Return the keys that a person may know of: all, those that reach the team's namespaces, or their own."""
    keys = ApiKey.objects.all()
    if look.scope.user_ids is not None:
        return keys.filter(user_id__in=look.scope.user_ids)
    if look.scope.namespaces is not None:
        return keys.filter(grants__namespace__slug__in=look.scope.namespaces).distinct()
    return keys


def visible_namespaces(look: Look) -> QuerySet[Namespace]:
    """Return the namespaces that a person may know of."""
    namespaces = Namespace.objects.all()
    if look.scope.namespaces is not None:
        return namespaces.filter(slug__in=look.scope.namespaces)
    if look.scope.user_ids is not None:
        from keys.authentication import namespaces_for

        return namespaces_for(look.request.user)
    return namespaces
