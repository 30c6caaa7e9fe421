"""One tool: how fast, since when it is slow, who calls it and who meets its errors."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from analytics.dashboard import changes, existence, formatting, rankings, subjects
from analytics.dashboard.figures import Figures
from analytics.dashboard.focus import FocusPage, Subject
from analytics.dashboard.look import Look
from analytics.dashboard.tables import Cell, Table
from analytics.dashboard.toolbar import compared_with
from analytics.queries import Group
from namespaces.models import CatalogueEntry, EntryKind


class ToolPage(FocusPage):
    """`/dashboard/tools/<namespace>/<tool>/`"""

    has_namespaces = False

    def subject(self, look: Look, **names: Any) -> Subject:
        """Return the tool. Raises Http404. Who does not see everything knows of a tool by its calls alone."""
        namespace, tool = names["namespace"], names["tool"]
        if not existence.allows_namespace(look, namespace):
            raise Http404
        entry = None
        if look.sees_everything:
            listed = CatalogueEntry.objects.filter(upstream__mounts__namespace__slug=namespace, kind=EntryKind.TOOL)
            entry = listed.filter(name=tool).select_related("upstream").first()
        facts: list[tuple[str, list[Cell]]] = [("Namespace", [rankings.namespace_cell(look, namespace)])]
        if entry is not None:
            facts.append(("Upstream", [rankings.upstream_cell(look, entry.upstream.slug)]))
            if entry.title and entry.title != tool:
                facts.append(("Title", [Cell(formatting.shown(entry.title), is_name=True)]))
        return Subject(
            kind="Tool",
            title=tool,
            parent=("Tools", look.url("tools", namespace=None)),
            view=look.view(namespace=namespace, tool=tool),
            filters={"namespace": namespace, "tool": tool},
            facts=facts,
            with_series_before=True,
            is_known=entry is not None,
        )

    def tables(self, look: Look, subject: Subject, people: list[Group]) -> list[Table]:
        """Return who calls it."""
        view, filters = subject.view, subject.filters
        return [
            subjects.top_users(
                look,
                view,
                filters,
                groups=people,
                csv_url=look.rest_url("/analytics/usage", group_by="user", **filters),
            ),
        ]

    def findings(self, look: Look, found: Figures) -> list[str]:
        """Return how fast it is beside the period before, and since when that has been so."""
        now, before = found.now.p95_ms, found.before.p95_ms
        if now is None:
            return []
        return [_comparison(look, now, before), *_since_when(look, found)]


def _comparison(look: Look, now: float, before: float | None) -> str:
    then = compared_with(look)
    if not before:
        return f"p95 {formatting.latency(now)}; there are no calls of {then} to compare with."
    ratio = now / before
    if 1 / changes.SAME_LATENCY < ratio < changes.SAME_LATENCY:
        return f"p95 {formatting.latency(now)}, about the same as {then}."
    return f"p95 {formatting.latency(now)}, {formatting.times(ratio)} that of {then} ({formatting.latency(before)})."


def _since_when(look: Look, found: Figures) -> list[str]:
    shift = changes.find_shift([*(found.points_before or []), *found.points])
    if shift is None:
        return []
    direction = "Slower" if shift.ratio > 1 else "Faster"
    return [
        f"{direction} since about {formatting.short_moment(shift.at, look.selection.bucket)} UTC:"
        f" p95 typically {formatting.latency(shift.after_ms)}, before that {formatting.latency(shift.before_ms)}."
    ]
