"""The audit trail: every change of configuration, read from the event tables that row triggers fill.

Changes by `.update()`, psql and imports are here too, because the triggers see them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pghistory.core
from django.db import connection, models
from psycopg import sql

from gateway_project.audit_entries import Entry, Names, entry_of

# Both a group and a team have memberships.
_KINDS = {"keys.membership": "teammembership"}

_ONE_MODEL = sql.SQL(
    """(SELECT {kind} AS kind, e.pgh_id, e.pgh_created_at, e.pgh_label, e.{row}::text AS row_id, e.pgh_context_id,
               to_jsonb(e) AS now, to_jsonb(b) AS before
        FROM {table} e
        LEFT JOIN pghistory_context c ON c.id = e.pgh_context_id
        LEFT JOIN LATERAL (SELECT p.* FROM {table} p WHERE p.{row} = e.{row} AND p.pgh_id < e.pgh_id
                           ORDER BY p.pgh_id DESC LIMIT 1) b ON e.pgh_label = 'update'
        WHERE (%(since)s::timestamptz IS NULL OR e.pgh_created_at >= %(since)s)
          AND (%(label)s::text IS NULL OR e.pgh_label = %(label)s)
          AND (%(object)s::text IS NULL OR e.{row}::text = %(object)s)
          AND (%(user)s::text IS NULL OR c.metadata ->> 'user' = %(user)s)
          AND (NOT %(outside)s OR e.pgh_context_id IS NULL)
        ORDER BY e.pgh_created_at DESC, e.pgh_id DESC LIMIT %(reach)s)"""
)
_ALL = sql.SQL(
    """SELECT f.kind, f.pgh_created_at, f.pgh_label, f.row_id, c.metadata, f.now, f.before
       FROM ({}) f LEFT JOIN pghistory_context c ON c.id = f.pgh_context_id
       ORDER BY f.pgh_created_at DESC, f.kind, f.pgh_id DESC LIMIT %(limit)s OFFSET %(offset)s"""
)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which changes to read; None means any. `outside` asks for those that no request of the gateway made."""

    kind: str | None = None
    object_id: str | None = None
    user_id: str | None = None
    label: str | None = None
    since: datetime | None = None
    outside: bool = False


def kind_of(model: type[models.Model]) -> str:
    """Return the name under which the trail knows a model: its own in lower case, as a rule."""
    return _KINDS.get(model._meta.label_lower, str(model._meta.model_name))


def tracked() -> dict[str, type[models.Model]]:
    """Return the audited models by their kind."""
    found = [event.pgh_tracked_model for event in pghistory.core.event_models()]  # type: ignore[attr-defined]
    return {kind_of(model): model for model in found}


def _tables() -> dict[str, tuple[str, str]]:
    """Return each kind's event table, and its column with the number of the row that changed."""
    tables = {}
    for event in pghistory.core.event_models():
        columns = {field.column for field in event._meta.fields}
        row = "pgh_obj_id" if "pgh_obj_id" in columns else "id"
        tracked_model = event.pgh_tracked_model  # type: ignore[attr-defined]
        tables[kind_of(tracked_model)] = (event._meta.db_table, row)
    return tables


def entries(filters: Filters, kinds: Iterable[str], limit: int, offset: int = 0) -> list[Entry]:
    """Return changes, the newest first.

    Args: kinds: the model names that the reader may see; limit: how many at most; offset: how many to leave out
    first. (All changes of one transaction bear the same time, so a time cannot mark the end of a page.)
    """
    tables = _tables()
    parts = []
    for kind in kinds:
        if kind in tables and filters.kind in (None, kind):
            table, row = map(sql.Identifier, tables[kind])
            parts.append(_ONE_MODEL.format(kind=sql.Literal(kind), table=table, row=row))
    if not parts:
        return []
    arguments = {
        "since": filters.since,
        "label": filters.label,
        "object": filters.object_id,
        "user": filters.user_id,
        "outside": filters.outside,
        "limit": limit,
        "offset": offset,
        "reach": limit + offset,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ALL.format(sql.SQL(" UNION ALL ").join(parts)).as_string(cursor.connection), arguments)
        # Django's cursors leave jsonb as text.
        rows = [[*row[:4], *(json.loads(text) if text else None for text in row[4:])] for row in cursor.fetchall()]
    names = Names(rows)
    labels = {name: str(model._meta.verbose_name) for name, model in tracked().items()}
    return [entry_of(row, names, labels) for row in rows]
