"""One look at the log: the snapshot that all numbers of a page come from, what was chosen, and whose calls they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from analytics.dashboard.selection import Selection
from analytics.queries import Reading, View
from keys.visibility import Scope


@dataclass(frozen=True, slots=True)
class Look:
    """What a page needs to ask questions and to make links that keep the choice."""

    request: HttpRequest
    reading: Reading
    selection: Selection
    scope: Scope

    @property
    def sees_everything(self) -> bool:
        """Whether the scope restricts nothing."""
        return self.scope.namespaces is None and self.scope.user_ids is None

    def view(self, **names: Any) -> View:
        """Return the calls of the chosen period and namespace that carry these names."""
        chosen = {"namespace": self.selection.namespace} | names
        return View(self.selection.since, self.selection.until, self.scope, **chosen)

    def url(self, page: str, *arguments: object, **changes: str | None) -> str:
        """Return the address of a dashboard page; `changes` are parameters beside those that the choice sets."""
        return _path(page, arguments) + self.selection.query(**changes)

    def requests_url(self, **filters: object) -> str:
        """Return the address of the list of requests with these filters (None: not filtered by that)."""
        given = {name.removesuffix("_"): None if value is None else str(value) for name, value in filters.items()}
        return self.url("requests", **given)

    def rest_url(self, path: str, **parameters: object) -> str:
        """Return the address of the same rows as CSV from the REST API, of the very span that the page shows."""
        selection = self.selection
        chosen: dict[str, Any] = {"from": _rfc3339(selection.since), "to": _rfc3339(selection.until)}
        chosen |= {"namespace": selection.namespace, "mine": "true" if selection.mine else None} | parameters
        given = {name: value for name, value in chosen.items() if value is not None}
        return f"{path}?{urlencode(given | {'format': 'csv'})}"


@lru_cache(maxsize=8192)
def _path(page: str, arguments: tuple[object, ...]) -> str:
    """Return the path of a page; the names of a busy gateway come back on every page."""
    return reverse(f"dashboard:{page}", args=arguments)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
