"""Which of JSON and CSV an answer is, and how a table becomes CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from analytics.rest import csv_text


class CsvRenderer(BaseRenderer):
    """The one table of an answer, which the view names, as CSV."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return header row and rows of `data`'s table."""
        columns, rows = (renderer_context or {})["view"].table_of(data)
        return csv_text.header(columns) + csv_text.lines(columns, rows)


class FormatNegotiation(DefaultContentNegotiation):
    """`?format=` before Accept. A format that there is not is refused with the other parameters, as theirs is."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        """Return the renderers of a format, or all when there is none of it."""
        return [renderer for renderer in renderers if renderer.format == format] or renderers

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[Any, str]:
        """Return the renderer and its media type; the parameter wins over Accept. Raises NotAcceptable."""
        asked = request.query_params.get("format")
        chosen = next((renderer for renderer in renderers if renderer.format == asked), None)
        if chosen is not None:
            return chosen, chosen.media_type
        return super().select_renderer(request, renderers, format_suffix)  # type: ignore[return-value]
