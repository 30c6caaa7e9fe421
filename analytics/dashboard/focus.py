"""Pages about one thing: a namespace, user, key or upstream. Tiles, charts, who and what, and the latest requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from analytics import queries
from analytics.dashboard import call_rows, existence, formatting, rankings
from analytics.dashboard.figures import Figures, figures
from analytics.dashboard.look import Look
from analytics.dashboard.page import Page
from analytics.dashboard.tables import Cell, Table
from analytics.queries import CallFilter, Group, View

FAILURES, LATEST = 8, 12


@dataclass(frozen=True, slots=True)
class Subject:
    """What a page is about: its title, where it belongs, its view, and the filters that lead to its requests."""

    kind: str
    title: str
    parent: tuple[str, str]
    view: View
    filters: dict[str, Any]
    facts: list[tuple[str, list[Cell]]] = field(default_factory=list)
    with_users: bool = True
    with_series_before: bool = False
    latest_first: bool = False  # what was done matters more than what failed
    is_known: bool = False  # known whether it was called or not

    @property
    def shown(self) -> str:
        """The title with what cannot be seen made visible."""
        return formatting.shown(self.title)


class FocusPage(Page):
    """A page about one subject; a subclass finds the subject and names its tables."""

    template = "dashboard/focus.html"

    def subject(self, look: Look, **names: Any) -> Subject:
        """Return the subject. Raises Http404 when the scope excludes it."""
        raise NotImplementedError

    def tables(self, look: Look, subject: Subject, people: list[Group]) -> list[Table]:
        """Return the tables in the middle of the page; `people` are the users with the most calls first."""
        raise NotImplementedError

    def findings(self, look: Look, found: Figures) -> list[str]:
        """Return what the numbers say, in sentences."""
        return []

    def content(self, look: Look, **names: Any) -> dict[str, Any]:
        """Return the whole page. Raises Http404 for a subject that is unknown, or unknown to this person."""
        subject = self.subject(look, **names)
        bucket = queries.affordable_bucket(look.reading, subject.view, look.selection.bucket)
        look = replace(look, selection=replace(look.selection, bucket=bucket))
        people = queries.users(look.reading, subject.view) if subject.with_users else []
        found = figures(
            look,
            subject.view,
            people=len(people) if subject.with_users else None,
            with_series_before=subject.with_series_before,
            **subject.filters,
        )
        if not found.now.calls and not subject.is_known:
            existence.require_calls(look, subject.view)
        context = found.context | {
            "subject": subject,
            "findings": self.findings(look, found),
            "requests_url": look.requests_url(**subject.filters),
            "empty": rankings.nothing(look),
        }
        if not found.now.calls:
            return context | {"tables": [], "wide_tables": []}
        endings = rankings.endings_table(look, subject.view, subject.filters)
        wide = [latest(look, subject, found)]
        if found.now.errors:
            wide.insert(1 if subject.latest_first else 0, failures(look, subject, found))
        return context | {"tables": [*self.tables(look, subject, people), endings], "wide_tables": wide}


def failures(look: Look, subject: Subject, found: Figures) -> Table:
    """Return the latest requests that did not end ok."""
    view = _end_with(look, subject.view, [(point.at, point.measures.errors) for point in found.points], FAILURES)
    page = queries.calls(look.reading, view, CallFilter(errors_only=True), FAILURES)
    more = ("All errors", look.requests_url(**subject.filters, errors_only="true"))
    return call_rows.calls_table(
        look, page.calls, name="failures", title="Recent failures", leave_out=_same(subject, "bytes"), more=more
    )


def latest(look: Look, subject: Subject, found: Figures) -> Table:
    """Return the latest requests."""
    view = _end_with(look, subject.view, [(point.at, point.measures.calls) for point in found.points], LATEST)
    page = queries.calls(look.reading, view, CallFilter(), LATEST)
    more = ("All requests", look.requests_url(**subject.filters))
    return call_rows.calls_table(
        look, page.calls, name="latest", title="Latest requests", leave_out=_same(subject, "reason"), more=more
    )


def _end_with(look: Look, view: View, counts: Sequence[tuple[datetime, int]], wanted: int) -> View:
    """Return the view cut to the buckets that hold its latest `wanted` rows: the log need not be searched for them."""
    filled = [(at, count) for at, count in counts if count]
    if not filled:
        return view
    since, left = filled[-1][0], wanted
    for at, count in reversed(filled):
        since, left = at, left - count
        if left <= 0:
            break
    until = filled[-1][0] + look.selection.bucket
    return replace(view, since=max(view.since, since), until=min(view.until, until))


def _same(subject: Subject, *further: str) -> list[str]:
    """Return the columns that say the same in each row of a subject's requests."""
    columns = {"namespace": "namespace", "user_id": "user", "upstream": "upstream", "tool": "what"}
    return [*further, *(columns[name] for name in subject.view.names() if name in columns)]
