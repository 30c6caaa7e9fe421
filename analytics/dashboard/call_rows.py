"""Single calls as rows of a table, and what the list of requests can be filtered by."""

from __future__ import annotations

from collections.abc import Sequence

from analytics.dashboard import formatting, rankings, tables
from analytics.dashboard.look import Look
from analytics.dashboard.outcomes import outcome_cell
from analytics.dashboard.tables import Cell, Column, Empty, Table
from analytics.queries import Call

_COLUMNS = {
    "time": Column("Time (UTC)"),
    "user": Column("User"),
    "namespace": Column("Namespace"),
    "what": Column("What"),
    "upstream": Column("Upstream"),
    "outcome": Column("Outcome"),
    "reason": Column("Reason"),
    "took": Column("Took", True),
    "bytes": Column("Bytes", True, "", "Bodies of the request and the answer."),
}
ALL = tuple(_COLUMNS)


def calls_table(
    look: Look,
    calls: Sequence[Call],
    *,
    name: str = "requests",
    title: str = "Requests",
    leave_out: Sequence[str] = (),
    empty: Empty | None = None,
    more: tuple[str, str] | None = None,
    csv_url: str = "",
) -> Table:
    """Return calls as a table whose rows lead to their pages.

    Args: leave_out: columns that say the same in each row of this page.
    """
    shown = [column for column in ALL if column not in leave_out]
    rows = [[_cell(look, call, column) for column in shown] for call in calls]
    columns = tuple(_COLUMNS[column] for column in shown)
    return Table(name, title, columns, rows, empty or rankings.nothing(look), more=more, csv_url=csv_url)


def _cell(look: Look, call: Call, column: str) -> Cell:
    if column == "time":
        return Cell(formatting.moment(call.at), look.url("request", call.id), moment=call.at.isoformat())
    if column == "what":
        return what_cell(call)
    if column == "outcome":
        return outcome_cell(call.outcome)
    if column == "took":
        return Cell(formatting.microseconds(call.total_us), hint=f"{call.total_us:,} µs", is_number=True)
    if column == "bytes":
        return tables.size_cell(call.request_bytes + call.response_bytes)
    text = {
        "user": call.user_id,
        "namespace": call.namespace,
        "upstream": call.upstream,
        "reason": call.reason,
    }[column]
    return tables.name_cell(text) if text else Cell(formatting.NONE, is_quiet=True)


def what_cell(call: Call) -> Cell:
    """Return what was called: the tool's name, or the method where there is no name."""
    if call.tool:
        cell = tables.name_cell(call.tool)
        return cell if cell.hint else Cell(cell.text, hint=formatting.shown(call.method or ""), is_name=True)
    return tables.name_cell(call.method) if call.method else Cell(formatting.NONE, is_quiet=True)
