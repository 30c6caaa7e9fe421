"""One namespace: who uses it, which tools, how well."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from analytics.dashboard import existence, rankings, subjects
from analytics.dashboard.focus import FocusPage, Subject
from analytics.dashboard.look import Look
from analytics.dashboard.tables import Cell, Table, name_cell
from analytics.queries import Group


class NamespacePage(FocusPage):
    """`/dashboard/namespaces/<slug>/`"""

    has_namespaces = False

    def subject(self, look: Look, **names: Any) -> Subject:
        """Return the namespace. Raises Http404."""
        slug = names["namespace"]
        if not existence.allows_namespace(look, slug):
            raise Http404
        row = existence.visible_namespaces(look).filter(slug=slug).select_related("mount__upstream").first()
        facts: list[tuple[str, list[Cell]]] = []
        if row is not None:
            mount = getattr(row, "mount", None)
            state = Cell("serving", tone="ok") if row.enabled else Cell("disabled", tone="muted")
            facts = [("State", [state]), ("Endpoint", [Cell(f"/mcp/{slug}")])]
            if mount is not None:
                facts.append(("Upstream", [rankings.upstream_cell(look, mount.upstream.slug)]))
            if row.description:
                facts.append(("Description", [name_cell(row.description)]))
        return Subject(
            kind="Namespace",
            title=slug,
            parent=("Namespaces", look.url("namespaces", namespace=None)),
            view=look.view(namespace=slug),
            filters={"namespace": slug},
            facts=facts,
            is_known=row is not None,
        )

    def tables(self, look: Look, subject: Subject, people: list[Group]) -> list[Table]:
        """Return tools and users."""
        slug = subject.title
        filters = subject.filters
        return [
            subjects.top_tools(
                look,
                subject.view,
                filters,
                more=("All tools", look.url("tools", namespace=slug)),
                csv_url=look.rest_url("/analytics/tools", namespace=slug),
            ),
            subjects.slowest_tools(
                look, subject.view, filters, more=("All by p95", look.url("tools", namespace=slug, order="p95"))
            ),
            subjects.top_users(
                look,
                subject.view,
                filters,
                groups=people,
                more=("All users", look.url("users", namespace=slug)),
                csv_url=look.rest_url("/analytics/usage", namespace=slug, group_by="user"),
            ),
        ]
