"""The text that Prometheus reads, in the format that it asks for (text 0.0.4 or OpenMetrics)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from analytics.metrics import cells, session_table
from analytics.metrics.host import UNSUFFIXED, HostCollector
from analytics.metrics.upkeep import DatabaseFigures, UpkeepCollector

# In text 0.0.4 a counter may have any name, so D.4's four are counters there.
_UNTYPED = re.compile(rf"^(# TYPE (?:{'|'.join(UNSUFFIXED)})) untyped$".encode(), re.MULTILINE)


class _Everything(Collector):
    def __init__(self, figures: DatabaseFigures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield from UpkeepCollector(self._figures).collect()
        sessions = session_table.active_here(cells.shared_directory())
        yield from HostCollector(cells.everything(), sessions).collect()


def render(accept: str, figures: DatabaseFigures | None) -> tuple[bytes, str]:
    """Return the exposition and its content type.

    Args: accept: the Accept header; figures: what the database said, None when it did not answer.
    """
    encode, content_type = choose_encoder(accept)
    text = encode(_Everything(figures))
    if content_type.startswith("text/plain"):
        text = _UNTYPED.sub(rb"\1 counter", text)
    return text, content_type
