"""The list of requests: every filter in the URL, the newest first, page by page with a cursor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analytics import queries
from analytics.dashboard import call_rows, formatting, rankings
from analytics.dashboard.look import Look
from analytics.dashboard.page import MAX_NUMBER, Page
from analytics.dashboard.selection import BadParameterError, choice_of, name_of, switch_of
from analytics.dashboard.tables import Empty
from analytics.queries import CallFilter
from analytics.record import OUTCOMES

ROWS = 50
LONGEST_MS = 86_400_000
_LABELS = {"slower_than_ms": "Slower than (ms)", "tool": "Tool or name", "key": "Key number"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list is filtered by, as the form shows it again."""

    upstream: str | None
    user: str | None
    key: int | None
    tool: str | None
    method: str | None
    outcome: str | None
    reason: str | None
    request_id: str | None
    errors_only: bool
    slower_than_ms: int | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is filtered."""
        return not any(getattr(self, name) for name in self.__slots__)

    def wanted(self) -> CallFilter:
        """Return what single calls must be like."""
        return CallFilter(
            outcome=self.outcome,
            errors_only=self.errors_only,
            reason=self.reason,
            method=self.method,
            slower_than_us=None if self.slower_than_ms is None else self.slower_than_ms * 1000,
            request_id=self.request_id,
        )

    def parameters(self) -> dict[str, str | None]:
        """Return the filters as parameters of a URL."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {name: "true" if value is True else str(value) for name, value in found.items() if value}


def parse_filters(given: Mapping[str, str]) -> Filters:
    """Return the filters of a URL. Raises BadParameterError."""
    outcome = choice_of(given, "outcome", ("", *OUTCOMES), "")
    return Filters(
        **{name: name_of(given, name) for name in ("upstream", "user", "tool", "method", "reason", "request_id")},
        key=_number(given, "key", MAX_NUMBER),
        outcome=outcome or None,
        errors_only=switch_of(given, "errors_only"),
        slower_than_ms=_number(given, "slower_than_ms", LONGEST_MS),
    )


def _number(given: Mapping[str, str], name: str, most: int) -> int | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= most):
        raise BadParameterError(name, f"Write a whole number from 1 to {most:,}.")
    return int(text)


class RequestsPage(Page):
    """`/dashboard/requests/`"""

    template = "dashboard/requests.html"

    def content(self, look: Look, **names: Any) -> dict[str, Any]:
        """Return one page of the list and its form. Raises BadParameterError, InvalidCursorError."""
        filters = parse_filters(look.request.GET)
        view = look.view(upstream=filters.upstream, user_id=filters.user, key_id=filters.key, tool=filters.tool)
        cursor = look.request.GET.get("cursor") or None
        page = queries.calls(look.reading, view, filters.wanted(), ROWS, cursor)
        chosen = filters.parameters()
        table = call_rows.calls_table(look, page.calls, empty=_empty(look, filters), csv_url=_csv_url(look, filters))
        base = look.selection.parameters()
        return {
            "filters": filters,
            "chips": _chips(look, filters),
            "outcomes": OUTCOMES,
            "table": table,
            "hidden": list(base.items()),
            "clear_url": look.url("requests"),
            "older_url": look.url("requests", **chosen, cursor=page.next_cursor) if page.next_cursor else "",
            "newest_url": look.url("requests", **chosen) if cursor else "",
        }


def _chips(look: Look, filters: Filters) -> list[tuple[str, str, str]]:
    """Return each filter in force: its name, its value, and the address of the list without it."""
    chosen = filters.parameters()
    return [
        (
            _LABELS.get(name, name.replace("_", " ").capitalize()),
            "" if value == "true" else formatting.shown(str(value)),
            look.requests_url(**{other: text for other, text in chosen.items() if other != name}),
        )
        for name, value in chosen.items()
    ]


def _empty(look: Look, filters: Filters) -> Empty:
    if filters.is_empty:
        return rankings.nothing(look)
    return Empty("No request of this period matches these filters.", "Clear the filters", look.url("requests"))


def _csv_url(look: Look, filters: Filters) -> str:
    """Return the address of the same rows as CSV."""
    given = filters.parameters()
    given.pop("errors_only", None)
    if filters.errors_only and filters.outcome is None:
        given["success"] = "false"
    return look.rest_url("/api/v1/requests", **given)
