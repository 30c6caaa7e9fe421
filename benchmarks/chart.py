"""The chart of `make bench`: calls per second of every way, a panel for each call, on a logarithmic scale.

An SVG that follows the reader's light or dark setting and keeps its words as text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks import machine
from benchmarks.loads import Call
from benchmarks.matrix import Matrix
from benchmarks.ways import GATEWAY, Way

PATH = machine.ROOT / "docs" / "images" / "bench.svg"
# In the drawing's own units.
_WIDTH, _LABELS, _BAR, _STEP, _NUMBERS = 880, 200, 16, 24, 90
_PANEL_HEAD, _PANEL_GAP, _TOP = 30, 34, 74
_STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
    .title { font-size: 17px; font-weight: 600 }
    .panel { font-weight: 600 }
    .quiet { fill: #59636e; font-size: 12px }
    .grid { stroke: #d1d9e0; stroke-width: 1 }
    .bar { fill: #8c959f }
    .own { fill: #0969da }
    .strong { font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .quiet { fill: #9198a1 }
      .grid { stroke: #3d444d }
      .bar { fill: #656c76 }
      .own { fill: #4493f8 }
    }
"""


def draw(matrix: Matrix, ways: Sequence[Way], calls: Sequence[Call], connections: int, about: str) -> str:
    """Return the SVG.

    Args: connections: the column of the matrix that is shown; about: one line on when and on what it was measured.
    """
    rates = {
        (way.name, call.name): cell.calls_per_s
        for way in ways
        for call in calls
        if (cell := matrix.cell(way.name, call, connections)) is not None
    }
    last = math.ceil(math.log10(max(rates.values(), default=1.0) + 1))
    panel = _PANEL_HEAD + len(ways) * _STEP
    height = _TOP + len(calls) * (panel + _PANEL_GAP) + 8
    title = f"Calls per second at {connections} connections, one worker each"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(_in_words(rates, ways, calls))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="0" y="22">{escape(title)}</text>',
        f'<text class="quiet" x="0" y="44">{escape(about)} Logarithmic scale.</text>',
    ]
    for number, call in enumerate(calls):
        parts += _panel(call, ways, rates, last, _TOP + number * (panel + _PANEL_GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def write(text: str, path: Path = PATH) -> Path:
    """Put the chart where the README shows it, and return that place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _panel(call: Call, ways: Sequence[Way], rates: dict[tuple[str, str], float], last: int, top: int) -> list[str]:
    """Return the lines of one call's panel; the scale runs from 1 to 10 to the power of `last`."""
    room = _WIDTH - _LABELS - _NUMBERS
    begin, bottom = top + _PANEL_HEAD - 8, top + _PANEL_HEAD + len(ways) * _STEP
    parts = [f'<text class="panel" x="0" y="{top + 10}">{escape(call.title)}</text>']
    for power in range(last + 1):
        x = _LABELS + room * power / last
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{begin}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="quiet" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{10**power:,}</text>')
    for number, way in enumerate(ways):
        y = top + _PANEL_HEAD + number * _STEP
        strong = " strong" if way.name == GATEWAY else ""
        parts.append(f'<text class="name{strong}" x="0" y="{y + 13}">{escape(way.title)}</text>')
        rate = rates.get((way.name, call.name))
        if rate is None:
            parts.append(f'<text class="quiet" x="{_LABELS + 6}" y="{y + 13}">no answer</text>')
            continue
        width = room * max(0.0, math.log10(max(rate, 1.0))) / last
        kind = "own" if way.name == GATEWAY else "bar"
        parts.append(f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>')
        parts.append(f'<text class="value{strong}" x="{_LABELS + width + 6:.1f}" y="{y + 13}">{_number(rate)}</text>')
    return parts


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _in_words(rates: dict[tuple[str, str], float], ways: Sequence[Way], calls: Sequence[Call]) -> str:
    """Return the chart for those who hear it."""
    told = []
    for call in calls:
        each = [f"{way.title} {_number(rates[way.name, call.name])}" for way in ways if (way.name, call.name) in rates]
        told.append(f"{call.title}: {', '.join(each)}")
    return ". ".join(told) + "."
