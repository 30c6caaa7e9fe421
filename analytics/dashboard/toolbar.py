"""The pickers above a page: period, namespace, whose calls. Links and one GET form; the state lives in the URL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import cast

from django.contrib.auth.models import User
from django.utils.http import urlencode

from analytics.dashboard import formatting
from analytics.dashboard.look import Look
from analytics.dashboard.selection import PRESETS, minute_text
from keys import visibility
from keys.authentication import namespaces_for
from namespaces.models import Namespace

_KEPT_BY_SELECTION = frozenset({"period", "from", "to", "namespace", "mine", "cursor"})
_PERSPECTIVES = {
    visibility.EVERYTHING: "Everything",
    visibility.TEAM: "My team",
    visibility.MINE: "My calls",
}
# More would be no picker; the namespaces page has them all.
MAX_NAMESPACES = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to go on: a link, or an entry of a list."""

    label: str
    url: str
    is_chosen: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Toolbar:
    """What the pickers offer; `hidden` are the parameters that the forms repeat."""

    path: str
    presets: list[Choice]
    ranges: list[Choice]
    is_custom: bool
    since: str
    until: str
    caption: str
    compared: str
    namespaces: list[str] | None
    namespace: str
    perspectives: list[Choice]
    hidden_for_range: list[tuple[str, str]]
    hidden_for_namespace: list[tuple[str, str]]


def toolbar(look: Look, *, with_namespaces: bool = True) -> Toolbar:
    """Return the pickers of a page.

    Args: with_namespaces: whether the page is about more than one namespace.
    """
    selection = look.selection
    given: dict[str, str] = look.request.GET.dict()  # type: ignore[assignment]  # the last of several counts
    rest = {name: value for name, value in given.items() if name not in _KEPT_BY_SELECTION}

    def url(**changes: str | None) -> str:
        chosen = selection.parameters(**changes) | rest
        return f"{look.request.path}?{urlencode(chosen)}" if chosen else look.request.path

    presets = [
        Choice(period, url(period=period), period == selection.period, f"The last {_words(period)}")
        for period in PRESETS
    ]
    ranges = [
        Choice(label, url(period=None, **{"from": minute_text(since), "to": minute_text(until)}))
        for label, since, until in _ranges(look.reading.now)
    ]
    everything = selection.parameters() | rest
    return Toolbar(
        path=look.request.path,
        presets=presets,
        ranges=ranges,
        is_custom=selection.period not in PRESETS,
        since=minute_text(selection.since),
        until=minute_text(selection.until),
        caption=_caption(look),
        compared=compared_with(look),
        namespaces=_namespaces(look) if with_namespaces else None,
        namespace=selection.namespace or "",
        perspectives=_perspectives(look, url),
        hidden_for_range=[(k, v) for k, v in everything.items() if k not in ("period", "from", "to")],
        hidden_for_namespace=[(k, v) for k, v in everything.items() if k != "namespace"],
    )


def compared_with(look: Look) -> str:
    """Return what the numbers are compared with, such as `the 7 days before`."""
    period = look.selection.period
    return f"the {_words(period) if period else formatting.span(look.selection.length)} before"


def _words(period: str) -> str:
    number, unit = int(period[:-1]), {"m": "minute", "h": "hour", "d": "day"}[period[-1]]
    return f"{unit}" if number == 1 else f"{number} {unit}s"


def _caption(look: Look) -> str:
    """Return both ends of the period in words."""
    since, until = look.selection.since, look.selection.until
    end = "now" if look.selection.period else f"{until:%Y-%m-%d %H:%M}"
    return f"{since:%Y-%m-%d %H:%M} to {end} UTC"


def _ranges(now: datetime) -> list[tuple[str, datetime, datetime]]:
    """Return the spans that the calendar names, in UTC."""
    today = datetime.combine(now.date(), time(), now.tzinfo)
    day = timedelta(days=1)
    monday = today - today.weekday() * day
    end = now + timedelta(minutes=1)
    return [
        ("Today", today, end),
        ("Yesterday", today - day, today),
        ("This week", monday, end),
        ("Last week", monday - 7 * day, monday),
    ]


def _namespaces(look: Look) -> list[str]:
    """Return the namespaces to choose from; one that was chosen is among them, whatever it is."""
    if look.scope.namespaces is not None:
        names = list(look.scope.namespaces)
    else:
        known = Namespace.objects if look.scope.user_ids is None else namespaces_for(look.request.user)
        names = list(known.order_by("slug").values_list("slug", flat=True)[:MAX_NAMESPACES])
    chosen = look.selection.namespace
    return names if chosen is None or chosen in names else [*names, chosen]


def _perspectives(look: Look, url: object) -> list[Choice]:
    """Return whose calls may be looked at; nothing where there is no choice."""
    offered = visibility.perspectives(cast(User, look.request.user))
    if len(offered) < 2:
        return []
    return [
        Choice(
            _PERSPECTIVES[name],
            url(mine="true" if name == visibility.MINE else None),  # type: ignore[operator]
            look.selection.mine == (name == visibility.MINE),
        )
        for name in offered
    ]
