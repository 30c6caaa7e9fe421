"""One request: every field of its row, its stages on a time line, and what the same user did around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.http import Http404
from django.utils.safestring import SafeString

from analytics import queries
from analytics.dashboard import call_rows, formatting, outcomes, rankings, svg, tables
from analytics.dashboard.look import Look
from analytics.dashboard.page import Page
from analytics.dashboard.selection import minute_text
from analytics.dashboard.stages import stages
from analytics.dashboard.tables import Cell, Empty, Table
from analytics.queries import Call, CallFilter, View

AROUND = timedelta(minutes=1)
MOST_AROUND = 40


class RequestPage(Page):
    """`/dashboard/requests/<id>/`"""

    template = "dashboard/request.html"

    def content(self, look: Look, **names: Any) -> dict[str, Any]:
        """Return the call. Raises Http404."""
        call = queries.call(look.reading, look.scope, names["id"])
        if call is None:
            raise Http404
        return {
            "call": call,
            "what": call_rows.what_cell(call),
            "outcome": outcomes.outcome_cell(call.outcome),
            "took": formatting.microseconds(call.total_us),
            "stages": _stages(call),
            "facts": _who(look, call) + _how(call),
            "around": _around(look, call),
            "back": _back(look, call),
        }


def _stages(call: Call) -> list[tuple[str, str, str, str, SafeString]]:
    """Return label, meaning, beginning, duration and drawing of each stage."""
    return [
        (
            stage.label,
            stage.meaning,
            formatting.microseconds(stage.begin_us),
            formatting.microseconds(stage.took_us),
            svg.stage(stage.begin_us, stage.end_us, call.total_us, stage.tone),
        )
        for stage in stages(call)
    ]


def _who(look: Look, call: Call) -> list[tuple[str, Cell]]:
    """Return who called what and where, linked to the pages behind the names."""
    known_tool = call.tool and call.namespace and call.method == "tools/call"
    rows: list[tuple[str, Cell | None]] = [
        ("Time", Cell(f"{call.at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC", moment=call.at.isoformat())),
        ("User", rankings.user_cell(look, call.user_id) if call.user_id else None),
        ("Key", rankings.key_cell(look, call.key_id) if call.key_id else None),
        ("Namespace", _namespace(look, call)),
        ("Upstream", rankings.upstream_cell(look, call.upstream) if call.upstream else None),
        ("Method", tables.name_cell(call.method) if call.method else None),
        (
            "Tool" if call.method == "tools/call" else "Name",
            (rankings.tool_cell(look, call.namespace, call.tool) if known_tool else tables.name_cell(call.tool))
            if call.tool
            else None,
        ),
        ("Client", tables.name_cell(call.client_name) if call.client_name else None),
        ("Client address", tables.name_cell(call.client_address) if call.client_address else None),
    ]
    return [
        (label, cell or Cell(formatting.NONE, is_quiet=True))
        for label, cell in rows
        if cell or label != "Client address"
    ]


def _namespace(look: Look, call: Call) -> Cell | None:
    """Return the namespace; one that a stranger made up has no page."""
    if not call.namespace:
        return None
    if call.key_id is None or call.reason == "namespace_unknown":
        return tables.name_cell(call.namespace)
    return rankings.namespace_cell(look, call.namespace)


def _how(call: Call) -> list[tuple[str, Cell]]:
    """Return how it ended and what it carried."""
    tone, sentence = outcomes.OUTCOMES.get(call.outcome, ("muted", ""))
    rows = [
        ("Outcome", Cell(call.outcome.replace("_", " "), hint=sentence, tone=tone)),
        ("Reason", tables.name_cell(call.reason) if call.reason else None),
        ("HTTP status", Cell(str(call.http_status)) if call.http_status else None),
        ("JSON-RPC code", Cell(str(call.jsonrpc_code)) if call.jsonrpc_code is not None else None),
        ("Request body", tables.size_cell(call.request_bytes)),
        ("Answer body", tables.size_cell(call.response_bytes)),
        ("Protocol version", tables.name_cell(call.protocol_version) if call.protocol_version else None),
        ("Session (hash)", tables.name_cell(call.session) if call.session else None),
        ("Trace id", tables.name_cell(call.trace_id) if call.trace_id else None),
    ]
    return [(label, cell or Cell(formatting.NONE, is_quiet=True)) for label, cell in rows]


def _around(look: Look, call: Call) -> Table | None:
    """Return what the same user called within a minute before and after."""
    if not call.user_id:
        return None
    view = View(call.at - AROUND, call.at + AROUND, look.scope, user_id=call.user_id)
    page = queries.calls(look.reading, view, CallFilter(), MOST_AROUND + 1)
    others = [other for other in page.calls if other.id != call.id][:MOST_AROUND]
    url = look.requests_url(
        user=call.user_id, namespace=None, **_span(call.at - AROUND, call.at + AROUND + timedelta(minutes=1))
    )
    table = call_rows.calls_table(
        look,
        others,
        name="around",
        title="Around it",
        leave_out=("user", "reason"),
        empty=Empty("This user called nothing else within a minute before and after."),
        more=("All of that time", url),
    )
    return replace(table, note="What the same user called within a minute before and after.")


def _back(look: Look, call: Call) -> str:
    """Return the address of the requests of the hour around the call."""
    return look.requests_url(namespace=None, **_span(call.at - timedelta(minutes=30), call.at + timedelta(minutes=30)))


def _span(since: Any, until: Any) -> dict[str, object]:
    return {"period": None, "from": minute_text(since), "to": minute_text(until)}
