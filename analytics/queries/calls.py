"""Single calls: a page of the log, or one row of it."""

from __future__ import annotations

import base64
import uuid
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from analytics.queries.measures import Call, CallPage
from analytics.queries.reading import Reading
from analytics.queries.source import Row, reads_nothing, rows
from analytics.queries.view import CallFilter, View
from keys.visibility import Scope

_COLUMNS = tuple(column.name for column in fields(Call))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM analytics_requestlog"
# Each step back in time looks at this many times as much as the one before, so that a page of a busy log touches one
# partition and an empty month costs a handful of statements.
_FIRST_STEP = timedelta(hours=1)
_GROWTH = 6


class InvalidCursorError(ValueError):
    """The cursor is none that a page gave out."""


def calls(reading: Reading, view: View, wanted: CallFilter, limit: int = 50, cursor: str | None = None) -> CallPage:
    """Return rows of the log, the newest first.

    Args: cursor: `next_cursor` of the page before. Rows that arrive meanwhile shift nothing.
    Raises InvalidCursorError.
    """
    if reads_nothing(view):
        return CallPage()
    conditions, values = _conditions(view, wanted)
    before, last_id = _parse(cursor) if cursor else (view.until, None)
    found: list[Row] = []
    until, step = before, _FIRST_STEP
    while until > view.since and len(found) <= limit:
        since = max(view.since, until - step)
        # The row that ends the page before is left out; others of its very microsecond are not.
        border = "at < %s" if last_id is None or until != before else "(at, id) < (%s, %s)"
        edge = [until] if last_id is None or until != before else [until, last_id]
        found += rows(
            f"{_SELECT} WHERE at >= %s AND {border}{conditions} ORDER BY at DESC, id DESC LIMIT %s",
            [since, *edge, *values, limit + 1 - len(found)],
        )
        until, step = since, step * _GROWTH
    page = [_call(row, view.scope) for row in found[:limit]]
    return CallPage(page, _cursor(page[-1]) if len(found) > limit else None)


def call(reading: Reading, scope: Scope, identifier: uuid.UUID) -> Call | None:
    """Return one row, or None when there is none that the scope allows."""
    everything = View(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), scope)
    if reads_nothing(everything):
        return None
    conditions, values = _conditions(everything, CallFilter())
    found = rows(f"{_SELECT} WHERE id = %s{conditions} LIMIT 1", [identifier, *values])
    return _call(found[0], scope) if found else None


def _conditions(view: View, wanted: CallFilter) -> tuple[str, list[Any]]:
    """Return what rows must be like, besides their time."""
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, *parameters: Any) -> None:
        conditions.append(f" AND {condition}")
        values.extend(parameters)

    for name, value in view.names().items():
        add(f"{name} = %s", value)
    for name, allowed in (("namespace", view.scope.namespaces), ("user_id", view.scope.user_ids)):
        if allowed is not None and len(allowed) == 1:
            add(f"{name} = %s", allowed[0])  # one value keeps the index's order
        elif allowed is not None:
            add(f"{name} = ANY (%s)", list(allowed))
    for name in ("outcome", "reason", "method", "request_id"):
        if (value := getattr(wanted, name)) is not None:
            add(f"{name} = %s", value)
    if wanted.errors_only:
        add("outcome <> 'ok'")
    if wanted.slower_than_us is not None:
        add("total_us > %s", wanted.slower_than_us)
    return "".join(conditions), values


def _call(row: Row, scope: Scope) -> Call:
    values = dict(zip(_COLUMNS, row, strict=True))
    if not scope.sees_addresses:
        values["client_address"] = None
    return Call(**values)


def _cursor(last: Call) -> str:
    text = f"{last.at.isoformat()}|{last.id.hex}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parse(cursor: str) -> tuple[datetime, uuid.UUID]:
    """Return the time and id of the last row of the page before."""
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
        at, _, identifier = text.partition("|")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return moment, uuid.UUID(hex=identifier)
    except (ValueError, UnicodeError):
        raise InvalidCursorError("this is no cursor of an earlier page") from None
