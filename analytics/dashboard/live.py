"""The page of the live view: the table and the filters, which live.js fills from /ws/live."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.http import QueryDict
from django.views.generic import TemplateView

from analytics.live_filters import FilterError, LiveFilter
from analytics.live_viewer import MAX_WAITING
from analytics.record import OUTCOMES
from keys.visibility import MINE, perspectives

_TEXTS = (("namespace", "Namespace"), ("user", "User"), ("tool", "Tool"), ("upstream", "Upstream"))


class LivePage(LoginRequiredMixin, TemplateView):
    """`/dashboard/live/`. Whose calls appear is decided where the rows are sent, not here."""

    template_name = "dashboard/live.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the filters of the address as the form shows them."""
        asked = filter_of(self.request.GET)
        offered = perspectives(cast(User, self.request.user))
        texts = [{"name": name, "label": label, "value": getattr(asked, name) or ""} for name, label in _TEXTS]
        return super().get_context_data(**kwargs) | {
            "asked": asked,
            "texts": texts,
            "outcomes": [(outcome, outcome.replace("_", " ")) for outcome in OUTCOMES],
            "offers_mine": len(offered) > 1,
            "sees_only_own": offered == (MINE,),
            "rows_kept": MAX_WAITING,
        }


def filter_of(query: QueryDict) -> LiveFilter:
    """Return the filter that an address names; a field that cannot be understood is left out."""
    asked = LiveFilter()
    wanted: dict[str, Any] = {name: query[name] for name in (*dict(_TEXTS), "outcome") if query.get(name)}
    wanted |= {name: True for name in ("errors_only", "mine") if query.get(name) in ("1", "true", "on")}
    if slower := query.get("slower_than_ms"):
        with suppress(ValueError):
            wanted["slower_than_ms"] = float(slower)
    chosen: dict[str, Any] = {}
    for name, value in wanted.items():
        try:
            asked = LiveFilter.parse(chosen | {name: value})
        except FilterError:
            continue
        chosen[name] = value
    return asked
