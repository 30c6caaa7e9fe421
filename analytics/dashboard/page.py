"""What all dashboard pages share: sign-in, one snapshot, the choice from the URL, and calm words when it fails."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.generic import View

from analytics import queries
from analytics.dashboard import selection
from analytics.dashboard.look import Look
from analytics.dashboard.selection import DEFAULT_PERIOD, BadParameterError
from analytics.dashboard.toolbar import toolbar
from keys.visibility import scope_of

logger = logging.getLogger(__name__)
# SQLSTATE of a statement that took longer than it may.
_QUERY_CANCELED = "57014"
MAX_NUMBER = (1 << 63) - 1  # of a key: PostgreSQL's bigint


class Page(LoginRequiredMixin, View):
    """A page of the dashboards. A subclass says what it shows in `content`."""

    template: ClassVar[str]
    http_method_names = ["get", "head", "options"]
    has_namespaces = True  # whether the page is about more than one namespace

    def content(self, look: Look, **names: Any) -> dict[str, Any]:
        """Return what the template shows. Raises Http404 for what does not exist or may not be seen."""
        raise NotImplementedError

    def dispatch(self, request: HttpRequest, *args: Any, **names: Any) -> HttpResponseBase:
        """Answer, in words also where the URL or the database is at fault."""
        try:
            response = super().dispatch(request, *args, **names)
        except BadParameterError as error:
            response = _bad_parameter(request, error)
        except (OperationalError, InterfaceError) as error:
            response = _database_failed(request, error)
        response["Cache-Control"] = "private, no-store"
        return response

    def get(self, request: HttpRequest, **names: Any) -> HttpResponse:
        """Ask everything in one snapshot, then render."""
        with queries.reading() as reading:
            chosen = selection.parse(request.GET, reading)
            look = Look(request, reading, chosen, scope_of(request.user, mine=chosen.mine))
            try:
                content = self.content(look, **names)
            except queries.InvalidCursorError as error:
                raise BadParameterError("cursor", f"{str(error).capitalize()}.") from None
            bar = toolbar(look, with_namespaces=self.has_namespaces)
        return render(request, self.template, {"toolbar": bar, "selection": chosen, **content})


def _bad_parameter(request: HttpRequest, error: BadParameterError) -> HttpResponse:
    """Name the parameter and offer the page without it."""
    rest = request.GET.copy()
    for name in {error.name, "cursor", *(("from", "to") if error.name in ("from", "to") else ())}:
        rest.pop(name, None)
    url = f"{request.path}?{rest.urlencode()}" if rest else request.path
    context = {"parameter": error.name, "message": str(error), "url": url, "default_period": DEFAULT_PERIOD}
    return render(request, "dashboard/bad_parameter.html", context, status=400)


def _database_failed(request: HttpRequest, error: Exception) -> HttpResponse:
    """Say what happened and what to do: choose a shorter period, or come back."""
    is_late = getattr(error.__cause__, "sqlstate", None) == _QUERY_CANCELED
    logger.warning("a dashboard page failed at the database: %s", str(error).strip().partition("\n")[0])
    if is_late:
        shorter = request.GET.copy()
        for name in ("from", "to", "cursor"):
            shorter.pop(name, None)
        shorter["period"] = "1h"
        context = {"is_late": True, "url": f"{request.path}?{shorter.urlencode()}"}
        response = render(request, "dashboard/database.html", context, status=503)
    else:
        # Without the request: its user and messages would have to be read from the very database.
        context = {"user": AnonymousUser(), "is_late": False, "url": request.get_full_path()}
        response = HttpResponse(render_to_string("dashboard/database.html", context), status=503)
    response["Retry-After"] = "5"
    return response
