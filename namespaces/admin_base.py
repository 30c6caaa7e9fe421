"""What our admin pages share: states with a dot and a word, confirmation pages, the way to the audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from namespaces.circuits import HALF_OPEN, OPEN, Seen
from namespaces.models import Upstream


def state(tone: str, word: str) -> SafeString:
    """Return a coloured dot with its word; `tone` is ok, warn, error or muted."""
    return format_html('<span class="state state-{}">{}</span>', tone, word)


def upstream_state(upstream: Upstream) -> SafeString:
    """Return the state of an upstream as its last probe left it."""
    if not upstream.enabled:
        return state("muted", "disabled")
    status = getattr(upstream, "status", None)
    if status is None:
        return state("muted", "not tested")
    return state("ok", "up") if status.ok else state("error", "down")


def circuit_state(circuit: Seen) -> SafeString:
    """Return the state of an upstream's circuit breaker on this host."""
    if circuit.state == HALF_OPEN:
        return state("warn", "half-open")
    if circuit.state == OPEN:
        return state("error", f"open, next try in {circuit.retry_s:.0f} s" if circuit.retry_s else "open, tries next")
    return state("ok", "closed") if not circuit.failures else state("warn", f"closed, {circuit.failures} failed")


def latency(milliseconds: float | None) -> str:
    """Return a latency with three significant digits and its unit, such as 8.41 ms or 1.2 s."""
    if milliseconds is None:
        return "–"
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.3g} s"
    return f"{milliseconds:.3g} ms" if milliseconds < 999.5 else "1 s"


def ago(moment: datetime) -> SafeString:
    """Return how long ago a moment was, with the moment itself (UTC) on hover."""
    text = "just now" if timezone.now() - moment < timedelta(minutes=1) else f"{timesince(moment)} ago"
    exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, text)


class GatewayModelAdmin(admin.ModelAdmin):
    """Stock admin with fewer buttons, and with the audit trail as every object's history."""

    list_per_page = 50
    save_on_top = False
    view_on_site = False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Leave out the button that nobody needs here, and call the page by the object's name."""
        context["show_save_and_add_another"] = False
        if context.get("original") is not None:
            context |= {"title": str(context["original"]), "subtitle": None}
        return super().render_change_form(request, context, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Call the page by what it lists."""
        title = str(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title[:1].upper() + title[1:], **(extra_context or {})})

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Lead to the audit trail, which knows every change by whatever path."""
        query = urlencode({"kind": self.opts.model_name, "object": object_id})
        return HttpResponseRedirect(f"{reverse('admin:audit_trail')}?{query}")

    def confirmation(
        self, request: HttpRequest, *, title: str, button: str, effects: Sequence[str], action: str, ids: Sequence[Any]
    ) -> TemplateResponse:
        """Return the page that names what an action will break; its button repeats the action with `confirmed`."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "button": button,
            "effects": effects,
            "action": action,
            "ids": ids,
            "changelist_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
        }
        return TemplateResponse(request, "admin/confirm.html", context)
