"""One line of the audit trail as people read it: who, what, where from, and each value before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import models

from keys.models import ApiKey, Team
from keys.redaction import redact
from namespaces.models import Namespace, Upstream

ACTIONS = {"insert": "added", "update": "changed", "delete": "deleted"}
MAX_VALUE = 400
# Columns that say nothing to a reader: they move with every change, stand in the title, or are the trail's own.
_SILENT = frozenset("id created_at updated_at pepper prefix".split())
# How rows without a name of their own are called: two of their columns, and what stands between them.
_PAIRS = {
    "mount": ("upstream_id", " in ", "namespace_id"),
    "grant": ("key_id", " → ", "namespace_id"),
    "teamnamespace": ("namespace_id", " in ", "team_id"),
    "teammembership": ("account_id", " in ", "team_id"),
    "membership": ("user_id", " in ", "group_id"),
    "personalright": ("user_id", ": ", "permission_id"),
    "groupright": ("group_id", ": ", "permission_id"),
}
_LINKS = ("key_id", "namespace_id", "upstream_id")
Row = Sequence[Any]  # kind, time, label, number of the row, context, state now, state before


@dataclass(frozen=True, slots=True)
class Change:
    """One value before and after."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one row."""

    at: datetime
    kind: str  # model name, such as upstream
    kind_label: str
    action: str  # added, changed or deleted
    object_id: str
    title: str
    actor: str
    origin: str
    changes: tuple[Change, ...]


class Names:
    """Looks up the names of users and of the rows that changes refer to, each table once."""

    def __init__(self, rows: Sequence[Row]) -> None:
        user = get_user_model()
        ids = [str((row[4] or {}).get("user")) for row in rows]
        actors = user.objects.filter(pk__in={int(text) for text in ids if text.isascii() and text.isdecimal()})
        self.users = {str(pk): name for pk, name in actors.values_list("pk", "username")}
        self.rows = {
            "upstream_id": _titles(Upstream, "slug", "upstream_id", rows),
            "namespace_id": _titles(Namespace, "slug", "namespace_id", rows),
            "team_id": _titles(Team, "slug", "team_id", rows),
            "account_id": _titles(user, "username", "account_id", rows),
            "owner_id": _titles(user, "username", "owner_id", rows),
            "user_id": _titles(user, "username", "user_id", rows),
            "group_id": _titles(Group, "name", "group_id", rows),
            "permission_id": _titles(Permission, "name", "permission_id", rows),
            "key_id": {str(key.pk): str(key) for key in ApiKey.objects.filter(pk__in=_referred("key_id", rows))},
        }

    def of(self, field: str, value: Any) -> str:
        """Return the name of what a foreign key points to; its number when the row is gone."""
        if not isinstance(value, int):  # the user of an API key is a name already
            return str(value)
        return self.rows[field].get(str(value), f"#{value}")


def _referred(field: str, rows: Sequence[Row]) -> set[int]:
    return {value for row in rows for state in row[5:7] if state and isinstance(value := state.get(field), int)}


def _titles(model: type[models.Model], title: str, field: str, rows: Sequence[Row]) -> dict[str, str]:
    found = model._default_manager.filter(pk__in=_referred(field, rows))
    return {str(pk): text for pk, text in found.values_list("pk", title)}


def entry_of(row: Row, names: Names, labels: Mapping[str, str]) -> Entry:
    """Return the entry of a database row; `labels` are the models' names for people."""
    kind, at, label, object_id, context, now, before = row
    context = context if isinstance(context, dict) else {}
    action = ACTIONS.get(label, str(label))
    old, new = (before, now) if action == "changed" else (now, None) if action == "deleted" else (None, now)
    return Entry(
        at=at,
        kind=kind,
        kind_label=labels[kind],
        action=action,
        object_id=object_id,
        title=_title(kind, now, names),
        actor=_actor(context, names),
        origin=_origin(context),
        changes=tuple(_changes(old, new, names)),
    )


def _actor(context: Mapping[str, Any], names: Names) -> str:
    user = context.get("user")
    return "" if user is None else names.users.get(str(user), f"user #{user} (deleted)")


def _origin(context: Mapping[str, Any]) -> str:
    """Return the page, or the command with its file, that a change came from."""
    if not context:
        return "database (outside the gateway)"
    return str(context.get("url") or " ".join(str(context[part]) for part in ("source", "file") if context.get(part)))


def _title(kind: str, state: Mapping[str, Any], names: Names) -> str:
    if kind in _PAIRS:
        one, between, other = _PAIRS[kind]
        return f"{names.of(one, state[one])}{between}{names.of(other, state[other])}"
    if kind == "keysecret":
        return f"{state['prefix']}… of {names.of('key_id', state['key_id'])}"
    if kind == "upstreamcredential":
        return f"{state['header']} of {names.of('upstream_id', state['upstream_id'])}"
    if kind == "apikey":
        return f"{state['user_id']} #{state['id']}"
    if kind == "quarantine":
        parts = (state["user_id"], state["tool"], *(names.of(f, state[f]) for f in _LINKS if state[f] is not None))
        return f"{state['scope']} {' in '.join(part for part in parts if part)}"
    return str(state.get("slug") or state.get("username") or f"#{state.get('id')}")


def _changes(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, names: Names) -> Iterable[Change]:
    for field in new or old or {}:
        if field in _SILENT or field.startswith("pgh_"):
            continue
        before, after = (old or {}).get(field), (new or {}).get(field)
        if before != after and not (old is None and after in (None, "", [], False)):
            label = field.removesuffix("_id") if field in names.rows else field
            yield Change(label, _text(field, before, names), _text(field, after, names))


def _text(field: str, value: Any, names: Names) -> str:
    if value is None:
        return ""
    if field in names.rows:
        return names.of(field, value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field.endswith("_at") and isinstance(value, str):
        return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S")
    text = redact(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
