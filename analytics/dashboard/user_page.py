"""One user, and one key: what their agents called, where, with what success."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404
from django.utils import timezone

from analytics.dashboard import existence, formatting, rankings, subjects
from analytics.dashboard.focus import FocusPage, Subject
from analytics.dashboard.look import Look
from analytics.dashboard.page import MAX_NUMBER
from analytics.dashboard.tables import Cell, Table, name_cell
from analytics.queries import Group
from keys.models import ApiKey

_TONES = {"active": "ok", "expired": "warn", "revoked": "muted"}
_MOST_KEYS = 20


class UserPage(FocusPage):
    """`/dashboard/users/<user>/`"""

    def subject(self, look: Look, **names: Any) -> Subject:
        """Return the user. Raises Http404."""
        user = names["user"]
        if not existence.allows_user(look, user):
            raise Http404
        known = list(existence.visible_keys(look).filter(user_id=user).order_by("-id")[:_MOST_KEYS])
        facts = [("Keys", [_key_cell(look, key) for key in known])] if known else []
        return Subject(
            kind="User",
            title=user,
            parent=("Users", look.url("users")),
            view=look.view(user_id=user),
            filters={"user": user},
            facts=facts,
            with_users=False,
            latest_first=True,
            is_known=bool(known),
        )

    def tables(self, look: Look, subject: Subject, people: list[Group]) -> list[Table]:
        """Return tools, namespaces and keys."""
        view, filters = subject.view, subject.filters
        user = subject.title
        return [
            subjects.top_tools(look, view, filters, csv_url=look.rest_url("/analytics/tools", user=user)),
            subjects.namespaces(look, view, filters, csv_url=look.rest_url("/analytics/namespaces", user=user)),
            subjects.keys(look, view, filters, csv_url=look.rest_url("/analytics/keys", user=user)),
        ]


class KeyPage(FocusPage):
    """`/dashboard/keys/<number>/`"""

    def subject(self, look: Look, **names: Any) -> Subject:
        """Return the key. Raises Http404."""
        number = names["key"]
        if number > MAX_NUMBER:
            raise Http404
        key = existence.visible_keys(look).filter(pk=number).select_related("usage").first()
        return Subject(
            kind="Key",
            title=f"Key #{number}" + (f" · {key.description}" if key is not None and key.description else ""),
            parent=_parent(look, key),
            view=look.view(key_id=number),
            filters={"key": number},
            facts=_facts(look, key) if key is not None else [],
            with_users=False,
            is_known=key is not None,
        )

    def tables(self, look: Look, subject: Subject, people: list[Group]) -> list[Table]:
        """Return tools, namespaces and users: a key that was given away keeps its number."""
        view, filters = subject.view, subject.filters
        number = filters["key"]
        return [
            subjects.top_tools(look, view, filters, csv_url=look.rest_url("/analytics/tools", key=number)),
            subjects.namespaces(look, view, filters, csv_url=look.rest_url("/analytics/namespaces", key=number)),
        ]


def _parent(look: Look, key: ApiKey | None) -> tuple[str, str]:
    if key is None:
        return "Users", look.url("users")
    return formatting.shown(key.user_id), look.url("user", key.user_id)


def _key_cell(look: Look, key: ApiKey) -> Cell:
    return Cell(f"#{key.pk} {key.state}", look.url("key", key.pk), formatting.shown(key.description), _TONES[key.state])


def _facts(look: Look, key: ApiKey) -> list[tuple[str, list[Cell]]]:
    usage = getattr(key, "usage", None)
    return [
        ("User", [rankings.user_cell(look, key.user_id)]),
        ("State", [Cell(key.state, tone=_TONES[key.state])]),
        ("Issued", [_moment(key.created_at)]),
        ("Last used", [_moment(usage.last_used_at) if usage else Cell("never", is_quiet=True)]),
        ("Expires", [_moment(key.expires_at) if key.expires_at else Cell("never", is_quiet=True)]),
        *([("Issued by", [name_cell(key.created_by)])] if key.created_by else []),
    ]


def _moment(at: datetime) -> Cell:
    is_past = at <= timezone.now()
    return Cell(f"{formatting.moment(at)[:16]} UTC", moment=at.isoformat(), is_quiet=not is_past)
