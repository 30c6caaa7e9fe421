"""Small drawings made on the server: sparklines, bars, the stages of a call. Attributes and classes only, no styles."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SPARK_WIDTH, SPARK_HEIGHT = 120, 28


def sparkline(values: Sequence[float | None], tone: str) -> SafeString:
    """Return a line that begins at zero, with gaps where there is no value. The numbers stand beside it in words.

    Args: tone: a series' name, which chooses the colour (class `series-<tone>`).
    """
    highest = max((value for value in values if value is not None), default=0) or 1
    step = SPARK_WIDTH / max(len(values) - 1, 1)
    parts, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        height = SPARK_HEIGHT - 2 - value / highest * (SPARK_HEIGHT - 4)
        parts.append(f"{pen}{place * step:.1f} {height:.1f}" + ("h0.1" if pen == "M" else ""))
        pen = "L"
    return format_html(
        '<svg class="spark series-{}" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">'
        '<path d="{}" fill="none" stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>',
        tone,
        SPARK_WIDTH,
        SPARK_HEIGHT,
        "".join(parts),
    )


def bar(part: float, whole: float, tone: str = "ok") -> SafeString:
    """Return a horizontal bar as long as `part` is of `whole`."""
    width = 0.0 if whole <= 0 else min(max(part / whole, 0.0), 1.0) * 100
    return format_html(
        '<svg class="bar series-{}" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar-rest" width="100" height="4"/><rect width="{}" height="4" fill="currentColor"/></svg>',
        tone,
        f"{width:.2f}",
    )


def stage(begin: float, end: float, whole: float, tone: str) -> SafeString:
    """Return one stage of a call on the time line of the whole call, all three in the same unit."""
    whole = whole or 1
    left = min(max(begin / whole, 0.0), 1.0) * 1000
    width = max(min(max(end / whole, 0.0), 1.0) * 1000 - left, 2.0)  # the shortest stage is still to be seen
    return format_html(
        '<svg class="stage stage-{}" viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar-rest" y="5.5" width="1000" height="1"/>'
        '<rect x="{}" width="{}" height="12" fill="currentColor"/></svg>',
        tone,
        f"{min(left, 998.0):.2f}",
        f"{width:.2f}",
    )


# A failure stands out by its height as well as by its colour.
_HEIGHTS = {"online": 10, "degraded": 15, "offline": 20, "unknown": 2}
_TONES = {"online": "ok", "degraded": "warn", "offline": "error", "unknown": "muted"}


def health_strip(states: Sequence[str], summary: str) -> SafeString:
    """Return a strip of time, the oldest left: a bar for each run of equal states (values of Health).

    Args: summary: the same in words, for those who do not see it.
    """
    bars, begin = [], 0
    for place in range(1, len(states) + 1):
        if place == len(states) or states[place] != states[begin]:
            height = _HEIGHTS[states[begin]]
            bars.append((_TONES[states[begin]], begin, 20 - height, place - begin, height))
            begin = place
    drawn = format_html_join(
        "", '<rect class="health-{}" x="{}" y="{}" width="{}" height="{}" fill="currentColor"/>', bars
    )
    return format_html(
        '<svg class="health-strip" viewBox="0 0 {} 20" preserveAspectRatio="none" role="img" aria-label="{}">'
        "<title>{}</title>{}</svg>",
        max(len(states), 1),
        summary,
        summary,
        drawn,
    )
