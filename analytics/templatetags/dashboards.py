"""Cells and rows of tables as HTML, made in Python: a page has a thousand of them, and a template include for each
would cost the worker, whose calls wait meanwhile, ten times as much. Every text passes `format_html`, which escapes."""

from __future__ import annotations

from collections.abc import Iterator

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from analytics.dashboard.charts import Chart
from analytics.dashboard.tables import Cell, Table

register = template.Library()
_NOTHING = SafeString("")
_ROW_LINK = SafeString(' class="row-link"')


@register.simple_tag(name="cell")
def cell_html(cell: Cell, is_row_link: bool = False) -> SafeString:
    """Return the inside of a cell: its text, what it leads to, its dot, and what it says on hover."""
    if cell.moment:
        inner = format_html('<time datetime="{}">{}</time>', cell.moment, cell.text)
    elif cell.is_name:
        inner = format_html("<bdi>{}</bdi>", cell.text)
    else:
        inner = format_html("{}", cell.text)
    hint = format_html(' title="{}"', cell.hint) if cell.hint else _NOTHING
    if cell.url:
        inner = format_html('<a href="{}"{}{}>{}</a>', cell.url, _ROW_LINK if is_row_link else _NOTHING, hint, inner)
    elif cell.hint:
        inner = format_html("<span{}>{}</span>", hint, inner)
    return format_html('<span class="state state-{}">{}</span>', cell.tone, inner) if cell.tone else inner


@register.simple_tag
def table_rows(table: Table) -> SafeString:
    """Return the rows of a table; the first cell of each is its head and leads where the row leads."""
    return format_html_join("\n", "<tr>{}</tr>", ((_row(row),) for row in table.rows))


def _row(row: list[Cell]) -> SafeString:
    head = format_html('<th scope="row">{}{}</th>', row[0].drawing, cell_html(row[0], True))
    rest = format_html_join("", "<td{}>{}{}</td>", ((_class(cell), cell.drawing, cell_html(cell)) for cell in row[1:]))
    return format_html("{}{}", head, rest)


_CLASSES = {
    (True, False): SafeString(' class="number"'),
    (True, True): SafeString(' class="number quiet"'),
    (False, True): SafeString(' class="quiet"'),
    (False, False): _NOTHING,
}


def _class(cell: Cell) -> SafeString:
    return _CLASSES[cell.is_number, cell.is_quiet]


@register.simple_tag
def chart_rows(chart: Chart) -> SafeString:
    """Return the rows of the table under a chart."""
    return format_html_join("", '<tr><th scope="row">{}</th>{}</tr>', _chart_cells(chart))


def _chart_cells(chart: Chart) -> Iterator[tuple[SafeString, SafeString]]:
    for moment, label, url, texts in chart.rows:
        when = format_html('<time datetime="{}">{}</time>', moment, label)
        head = format_html('<a href="{}">{}</a>', url, when) if url else when
        yield head, format_html_join("", '<td class="number">{}</td>', ((text,) for text in texts))
