"""How long every page and REST answer takes, asked for one at a time as three kinds of people, period by period."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from benchmarks.names import Catalogue
from benchmarks.people import Person
from tests.routes import Route

FLOOR_MS = 300.0
PERIODS = ("1h", "24h", "7d", "30d")
ALWAYS = "any"  # of what shows one call, or the present: there is no period to choose
_OF_THE_PRESENT = ("api/v1/health",)
_GOOD = (200, 207)  # /api/v1/health says 207 of upstreams that are not there, as the seeded ones


@dataclass(frozen=True, slots=True)
class Variant:
    """A route with parameters that make a question of its own of it, such as the log's errors only."""

    route: Route
    label: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    picks: tuple[str, ...] = ()  # kinds whose names go into parameters of the same name

    @property
    def title(self) -> str:
        """How tables call it."""
        return f"/{self.route.pattern}" + (f" ({self.label})" if self.label else "")


@dataclass(slots=True)
class Case:
    """A question asked again and again: what, over which period, by whom; and how long each answer took."""

    variant: Variant
    period: str
    person: Person
    names: Catalogue
    took_ms: list[float] = field(default_factory=list)
    slowest: str = ""
    strange: Counter[int] = field(default_factory=Counter)  # statuses that are no answer

    @property
    def p95_ms(self) -> float:
        """What 95 % of the answers stayed below, in milliseconds."""
        return statistics.quantiles(self.took_ms, n=20, method="inclusive")[18]

    @property
    def p50_ms(self) -> float:
        """The median, in milliseconds."""
        return statistics.median(self.took_ms)

    def address(self, chance: random.Random) -> str:
        """Return path and query, about names drawn anew."""
        variant = self.variant
        path = variant.route.path(self.names.pick(chance, variant.route.kinds))
        query = dict(variant.parameters)
        if variant.picks:
            drawn = self.names.pick(chance, variant.picks)
            query |= {kind: str(drawn[kind]) for kind in variant.picks}
        if self.period != ALWAYS:
            query["period"] = self.period
        return f"{path}?{urlencode(query)}" if query else path

    def ask(self, chance: random.Random) -> None:
        """Ask once more and note how long the answer took until its last byte."""
        address = self.address(chance)
        begun = time.perf_counter()
        answer = self.person.client.get(address)
        took_ms = (time.perf_counter() - begun) * 1000
        if answer.status_code not in _GOOD:
            self.strange[answer.status_code] += 1
        if not self.took_ms or took_ms > max(self.took_ms):
            self.slowest = address
        self.took_ms.append(took_ms)


def variants(routes: Sequence[Route]) -> Iterator[Variant]:
    """Yield every route as it is; where a table can be narrowed also with the names and filters that cost most."""
    for route in routes:
        yield Variant(route)
        if route.kinds or route.pattern in _OF_THE_PRESENT:
            continue
        yield Variant(route, "one namespace", picks=("namespace",))
        if route.pattern.rstrip("/").endswith("requests"):
            yield Variant(route, "one user", picks=("user",))
            yield Variant(route, "one tool", picks=("tool", "namespace"))
            yield Variant(route, "one upstream", picks=("upstream",))
            yield Variant(route, "one key", picks=("key",))
            yield Variant(route, "time-outs", {"outcome": "timeout"})
            yield Variant(route, "slower than 20 s", {"slower_than_ms": "20000"})
            yield Variant(route, "unknown request id", {"request_id": "no-call-has-this-id"})


def cases(
    routes: Sequence[Route], people: Mapping[str, Person], names: Mapping[str, Catalogue], periods: Sequence[str]
) -> list[Case]:
    """Return every question of every person over every period."""
    return [
        Case(variant, period, person, names[role])
        for variant in variants(routes)
        for period in ((ALWAYS,) if _has_no_period(variant.route) else periods)
        for role, person in people.items()
    ]


def _has_no_period(route: Route) -> bool:
    return "call" in route.kinds or route.pattern in _OF_THE_PRESENT


def measure(asked: Sequence[Case], samples: int, chance: random.Random) -> None:
    """Ask everything `samples` times, in rounds, so that no question finds what it has just read in the caches.

    A first round warms up and does not count.
    """
    begun = time.monotonic()
    for number in range(samples + 1):
        for case in asked:
            case.ask(chance)
        print(f"pages: round {number} of {samples} after {time.monotonic() - begun:.0f} s", file=sys.stderr)
        if number == 0:
            for case in asked:
                case.took_ms.clear()
