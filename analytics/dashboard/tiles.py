"""The numbers at the top of a page, each beside that of the period before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from analytics.dashboard import changes, formatting, svg
from analytics.dashboard.changes import Change
from analytics.dashboard.look import Look
from analytics.queries import MAX_GROUPS, Measures, Point


@dataclass(frozen=True, slots=True)
class Tile:
    """One number: its name, value, what belongs to it, the change, a small drawing and where it leads."""

    label: str
    value: str
    detail: str
    change: Change
    drawing: SafeString | str = ""
    url: str = ""
    hint: str = ""


def tiles(
    look: Look,
    now: Measures,
    before: Measures,
    points: Sequence[Point],
    users: tuple[int, int | None] | None = None,
    **filters: object,
) -> list[Tile]:
    """Return the tiles of a page.

    Args: users: how many people called, now and before (None: not known), where the page is not about one; filters:
    of the list of requests behind the numbers.
    """
    found = [_requests(look, now, before, points, filters), _errors(look, now, before, points, filters)]
    found += [_latency(look, now, before, points, filters), _bytes(look, now, before, points, filters)]
    if users is not None:
        people, people_before = users
        change = changes.Change("") if people_before is None else changes.of_count(people, people_before)
        text = formatting.count(people) + ("+" if people >= MAX_GROUPS else "")
        found.append(Tile("Active users", text, "", change, url=_users_url(look, filters)))
    return found


def _requests(look: Look, now: Measures, before: Measures, points: Sequence[Point], filters: dict[str, object]) -> Tile:
    drawing = svg.sparkline([point.measures.calls for point in points], "ok")
    change = changes.of_count(now.calls, before.calls)
    rate = now.calls / max(look.selection.length.total_seconds() / 60, 1)
    detail = f"{rate:,.0f} a minute" if rate >= 9.5 else f"{rate:.1f} a minute" if now.calls else ""
    return Tile("Requests", formatting.count(now.calls), detail, change, drawing, look.requests_url(**filters))


def _errors(look: Look, now: Measures, before: Measures, points: Sequence[Point], filters: dict[str, object]) -> Tile:
    drawing = svg.sparkline([point.measures.errors for point in points], "error")
    detail = f"{formatting.percent(now.error_rate)} of the requests" if now.calls else ""
    url = look.requests_url(**filters, errors_only="true")
    hint = "Whatever did not end ok: failures, refusals, calls that the client left."
    return Tile("Errors", formatting.count(now.errors), detail, changes.of_errors(now, before), drawing, url, hint)


def _latency(look: Look, now: Measures, before: Measures, points: Sequence[Point], filters: dict[str, object]) -> Tile:
    drawing = svg.sparkline([point.measures.p95_ms for point in points], "p95")
    detail = ""
    url = ""
    if now.p95_ms is not None:
        detail = f"p50 {formatting.latency(now.p50_ms)} · p99 {formatting.latency(now.p99_ms)}"
        url = look.requests_url(**filters, slower_than_ms=round(now.p95_ms) or None)
    change = changes.of_latency(now.p95_ms, before.p95_ms)
    hint = "95 of 100 requests took no longer. From histograms: at most 5 % off."
    return Tile("Latency p95", formatting.latency(now.p95_ms), detail, change, drawing, url, hint)


def _bytes(look: Look, now: Measures, before: Measures, points: Sequence[Point], filters: dict[str, object]) -> Tile:
    total = now.request_bytes + now.response_bytes
    values = [point.measures.request_bytes + point.measures.response_bytes for point in points]
    detail = f"{formatting.size(now.request_bytes)} in · {formatting.size(now.response_bytes)} out"
    change = changes.of_amount(total, before.request_bytes + before.response_bytes)
    url = look.requests_url(**filters)
    return Tile(
        "Bytes",
        formatting.size(total),
        detail,
        change,
        svg.sparkline(values, "bytes"),
        url,
        "Bodies of requests and answers.",
    )


def _users_url(look: Look, filters: dict[str, object]) -> str:
    if set(filters) <= {"namespace"}:
        namespace = filters.get("namespace", look.selection.namespace)
        return look.url("users", namespace=None if namespace is None else str(namespace))
    return "#users"
