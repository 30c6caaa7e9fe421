"""One upstream: is it up, what fails, for whom."""

from __future__ import annotations

from typing import Any

from analytics.dashboard import formatting, rankings, subjects
from analytics.dashboard.focus import FocusPage, Subject
from analytics.dashboard.look import Look
from analytics.dashboard.tables import Cell, Table, name_cell
from analytics.queries import Group
from namespaces.models import Upstream


class UpstreamPage(FocusPage):
    """`/dashboard/upstreams/<slug>/`"""

    def subject(self, look: Look, **names: Any) -> Subject:
        """Return the upstream; what the last probe said of it is for those who see everything."""
        slug = names["upstream"]
        row = None
        if look.sees_everything:
            row = (
                Upstream.objects.filter(slug=slug)
                .select_related("status")
                .prefetch_related("mounts__namespace")
                .first()
            )
        return Subject(
            kind="Upstream",
            title=slug,
            parent=("Upstreams", look.url("upstreams")),
            view=look.view(upstream=slug),
            filters={"upstream": slug},
            facts=_facts(look, row) if row is not None else [],
            is_known=row is not None,
        )

    def tables(self, look: Look, subject: Subject, people: list[Group]) -> list[Table]:
        """Return tools, namespaces and users."""
        view, filters, slug = subject.view, subject.filters, subject.title
        return [
            subjects.slowest_tools(look, view, filters, csv_url=look.rest_url("/analytics/tools", upstream=slug)),
            subjects.namespaces(look, view, filters, csv_url=look.rest_url("/analytics/namespaces", upstream=slug)),
            subjects.top_users(
                look,
                view,
                filters,
                groups=people,
                csv_url=look.rest_url("/analytics/usage", upstream=slug, group_by="user"),
            ),
        ]


def _facts(look: Look, upstream: Upstream) -> list[tuple[str, list[Cell]]]:
    """Return what the last probe found and where the upstream is mounted."""
    status = getattr(upstream, "status", None)
    if not upstream.enabled:
        state = Cell("disabled", tone="muted")
    elif status is None:
        state = Cell("not tested", tone="muted")
    else:
        state = Cell("up", tone="ok") if status.ok else Cell("down", tone="error")
    mounts = [rankings.namespace_cell(look, mount.namespace.slug) for mount in upstream.mounts.all()]
    facts = [("State", [state]), ("Mounted in", mounts or [Cell("nowhere", is_quiet=True)])]
    if status is not None:
        checked = Cell(f"{formatting.moment(status.checked_at)} UTC", moment=status.checked_at.isoformat())
        facts.append(("Last check", [checked]))
        if status.ok:
            facts.append(("Probe took", [Cell(formatting.latency(status.latency_ms))]))
        elif status.message:
            facts.append(("What failed", [name_cell(status.message)]))
    return facts
