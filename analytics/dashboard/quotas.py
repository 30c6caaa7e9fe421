"""The page of quotas: how much of each is used up, for what the person may see."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.urls import reverse
from django.views.generic import TemplateView

from analytics.dashboard import svg
from analytics.dashboard.tables import Cell, Column, Empty, Table, count_cell, name_cell, size_cell
from keys.quota_models import Measure
from keys.quota_state import MAX_ROWS, State, states

_COLUMNS = (
    # What a phone shows without being scrolled comes first.
    Column("Quota"),
    Column("State"),
    Column("Share", True),
    Column("Used", True, hint="With what workers have leased ahead; what they do not use of it goes back."),
    Column("Of", True),
    Column("Whose"),
    Column("Counts"),
    Column("Begins anew (UTC)"),
)


class QuotasPage(LoginRequiredMixin, TemplateView):
    """`/dashboard/quotas/`"""

    template_name = "dashboard/quotas.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the quotas, those nearest to their end first."""
        account = cast(User, self.request.user)
        rows = states(account)
        note = f"The {MAX_ROWS} nearest to their end." if len(rows) == MAX_ROWS else ""
        cells = [_row(state) for state in rows]
        table = Table("quotas", "Today and this month", _COLUMNS, cells, _empty(account), note=note, is_wide=True)
        return super().get_context_data(**kwargs) | {"rows": rows, "quotas": table}


def _row(state: State) -> list[Cell]:
    amount = size_cell if state.quota.measure == Measure.RESPONSE_BYTES else count_cell
    counts = state.what if state.quota.hard else f"{state.what} (only warns)"
    return [
        name_cell(state.quota.slug),
        Cell(state.word, tone=state.tone),
        Cell(f"{state.percent:,} %", is_number=True, drawing=svg.bar(state.used, state.quota.amount, state.tone)),
        amount(state.used),
        amount(state.quota.amount),
        name_cell(state.spender),
        Cell(counts),
        Cell(f"{state.resets_at:%Y-%m-%d}", moment=state.resets_at.isoformat()),
    ]


def _empty(account: User) -> Empty:
    """Say why there is nothing, and to who may make quotas, where."""
    text = "There is no quota for you, or nothing was used of one in its day or month."
    if account.is_staff and account.has_perm("keys.add_quota"):
        return Empty("No quota counts anything yet.", "Make a quota", reverse("admin:keys_quota_add"))
    return Empty(text)
