"""The audit trail as values: every change of configuration, who made it, and what it was before and after.

Rows come from the event tables that row triggers fill, so changes by `.update()`, psql and imports are here too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pghistory.core
from django.contrib.auth import get_user_model
from django.db import connection, models
from psycopg import sql

from keys.models import ApiKey
from keys.redaction import redact
from namespaces.models import Namespace, Upstream

# Columns that say nothing to a reader: they move with every change, or belong to the trail itself.
SILENT = frozenset(
    (
        "id",
        "created_at",
        "updated_at",
        "pepper",
        "prefix",
        "pgh_id",
        "pgh_created_at",
        "pgh_label",
        "pgh_obj_id",
        "pgh_context_id",
    )
)
ACTIONS = {"insert": "added", "update": "changed", "delete": "deleted"}
MAX_VALUE = 400

_ONE_MODEL = sql.SQL(
    """(SELECT {kind} AS kind, e.pgh_id, e.pgh_created_at, e.pgh_label, e.pgh_obj_id::text, e.pgh_context_id,
               to_jsonb(e) AS now, to_jsonb(b) AS before
        FROM {table} e
        LEFT JOIN pghistory_context c ON c.id = e.pgh_context_id
        LEFT JOIN LATERAL (SELECT p.* FROM {table} p WHERE p.pgh_obj_id = e.pgh_obj_id AND p.pgh_id < e.pgh_id
                           ORDER BY p.pgh_id DESC LIMIT 1) b ON e.pgh_label <> 'insert'
        WHERE (%(before)s::timestamptz IS NULL OR e.pgh_created_at < %(before)s)
          AND (%(since)s::timestamptz IS NULL OR e.pgh_created_at >= %(since)s)
          AND (%(label)s::text IS NULL OR e.pgh_label = %(label)s)
          AND (%(object)s::text IS NULL OR e.pgh_obj_id::text = %(object)s)
          AND (%(user)s::text IS NULL OR c.metadata ->> 'user' = %(user)s)
          AND (NOT %(outside)s OR e.pgh_context_id IS NULL)
        ORDER BY e.pgh_created_at DESC, e.pgh_id DESC LIMIT %(limit)s)"""
)
_ALL = sql.SQL(
    """SELECT f.kind, f.pgh_created_at, f.pgh_label, f.pgh_obj_id, c.metadata, f.now, f.before
       FROM ({}) f LEFT JOIN pghistory_context c ON c.id = f.pgh_context_id
       ORDER BY f.pgh_created_at DESC, f.kind, f.pgh_id DESC LIMIT %(limit)s"""
)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which changes to read; None means any. `outside` asks for those that no request of the gateway made."""

    kind: str | None = None
    object_id: str | None = None
    user_id: str | None = None
    label: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    outside: bool = False


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


def tracked() -> dict[str, type[models.Model]]:
    """Return the audited models by their lower-case name."""
    return {
        event.pgh_tracked_model._meta.model_name: event.pgh_tracked_model for event in pghistory.core.event_models()
    }


def _tables() -> dict[str, str]:
    return {event.pgh_tracked_model._meta.model_name: event._meta.db_table for event in pghistory.core.event_models()}


def entries(filters: Filters, kinds: Iterable[str], limit: int) -> list[Entry]:
    """Return changes, the newest first.

    Args: kinds: the model names that the reader may see; limit: how many at most.
    """
    tables = _tables()
    chosen = [kind for kind in kinds if kind in tables and filters.kind in (None, kind)]
    if not chosen:
        return []
    parts = [_ONE_MODEL.format(kind=sql.Literal(kind), table=sql.Identifier(tables[kind])) for kind in chosen]
    arguments = {
        "before": filters.before,
        "since": filters.since,
        "label": filters.label,
        "object": filters.object_id,
        "user": filters.user_id,
        "outside": filters.outside,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ALL.format(sql.SQL(" UNION ALL ").join(parts)).as_string(cursor.connection), arguments)
        # Django's cursors leave jsonb as text.
        rows = [[*row[:4], *(json.loads(text) if text else None for text in row[4:])] for row in cursor.fetchall()]
    names = _Names(rows)
    return [_entry(row, names) for row in rows]


class _Names:
    """Looks up the names of users and of the rows that changes refer to, each table once."""

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        user = get_user_model()
        ids = {str((row[4] or {}).get("user")) for row in rows} - {"None"}
        self.users = {
            str(pk): name for pk, name in user.objects.filter(pk__in=_whole(ids)).values_list("pk", "username")
        }
        self.rows = {
            "upstream_id": _titles(Upstream, "slug", rows),
            "namespace_id": _titles(Namespace, "slug", rows),
            "key_id": {str(key.pk): str(key) for key in ApiKey.objects.filter(pk__in=_referred("key_id", rows))},
        }

    def of(self, field: str, value: Any) -> str:
        """Return the name of what a foreign key points to; its number when the row is gone."""
        return self.rows[field].get(str(value), f"#{value}")


def _whole(texts: Iterable[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdecimal()]


def _referred(field: str, rows: Sequence[Sequence[Any]]) -> set[int]:
    return {value for row in rows for state in row[5:7] if state and isinstance(value := state.get(field), int)}


def _titles(model: type[models.Model], field: str, rows: Sequence[Sequence[Any]]) -> dict[str, str]:
    wanted = _referred(f"{model._meta.model_name}_id", rows)
    return {str(pk): title for pk, title in model._default_manager.filter(pk__in=wanted).values_list("pk", field)}


def _entry(row: Sequence[Any], names: _Names) -> Entry:
    kind, at, label, object_id, context, now, before = row
    context = context if isinstance(context, dict) else {}
    action = ACTIONS.get(label, label)
    old, new = (before, now) if action == "changed" else (now, None) if action == "deleted" else (None, now)
    return Entry(
        at=at,
        kind=kind,
        kind_label=str(tracked()[kind]._meta.verbose_name),
        action=action,
        object_id=object_id,
        title=_title(kind, now, names),
        actor=_actor(context, names),
        origin=str(
            context.get("url") or context.get("command") or ("" if context else "database (outside the gateway)")
        ),
        changes=tuple(_changes(old, new, names)),
    )


def _actor(context: Mapping[str, Any], names: _Names) -> str:
    user = context.get("user")
    if user is None:
        return str(context.get("actor") or "")
    return names.users.get(str(user), f"user #{user} (deleted)")


def _title(kind: str, state: Mapping[str, Any], names: _Names) -> str:
    if kind == "mount":
        return f"{names.of('upstream_id', state['upstream_id'])} in {names.of('namespace_id', state['namespace_id'])}"
    if kind == "grant":
        return f"{names.of('key_id', state['key_id'])} → {names.of('namespace_id', state['namespace_id'])}"
    if kind == "keysecret":
        return f"{state['prefix']}… of {names.of('key_id', state['key_id'])}"
    if kind == "upstreamcredential":
        return f"{state['header']} of {names.of('upstream_id', state['upstream_id'])}"
    if kind == "apikey":
        return f"{state['user_id']} #{state['id']}"
    return str(state.get("slug") or state.get("username") or state.get("name") or f"#{state.get('id')}")


def _changes(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, names: _Names) -> Iterable[Change]:
    for field in new or old or {}:
        if field in SILENT:
            continue
        before, after = (old or {}).get(field), (new or {}).get(field)
        if before != after and not (old is None and after in (None, "", [], False)):
            yield Change(
                field.removesuffix("_id") if field in names.rows else field, *_shown(field, before, after, names)
            )


def _shown(field: str, before: Any, after: Any, names: _Names) -> tuple[str, str]:
    return _text(field, before, names), _text(field, after, names)


def _text(field: str, value: Any, names: _Names) -> str:
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
