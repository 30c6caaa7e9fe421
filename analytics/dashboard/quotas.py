"""The page of quotas: how much of each is used up, for what the person may see."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.views.generic import TemplateView

from keys.quota_state import MAX_ROWS, states


class QuotasPage(LoginRequiredMixin, TemplateView):
    """`/dashboard/quotas/`"""

    template_name = "dashboard/quotas.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the quotas, those nearest to their end first."""
        rows = states(cast(User, self.request.user))
        return super().get_context_data(**kwargs) | {"rows": rows, "is_cut": len(rows) == MAX_ROWS}
