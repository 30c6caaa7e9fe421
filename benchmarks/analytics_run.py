"""One run of the analytics benchmark: who asks, what is asked, in which order, and everything that was found."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from benchmarks import ingest, journal_load, names, pages, people, sizes, statements
from benchmarks.ingest import Stretch
from benchmarks.names import Catalogue
from benchmarks.pages import Case
from benchmarks.people import SUPERUSER, Person
from benchmarks.seeded import Seeded
from benchmarks.sizes import Size
from benchmarks.statements import Need
from keys.visibility import Scope
from tests import routes

# So many cases that miss their floor are explained, the slowest first.
_EXPLAINED = 12


@dataclass(slots=True)
class Findings:
    """What a run found; parts that were left out are empty."""

    log: Seeded
    sizes: Mapping[str, Size]
    cases: Sequence[Case] = ()
    needs: Mapping[str, Need] = field(default_factory=dict)
    stretches: Mapping[str, Stretch] = field(default_factory=dict)
    plans: Sequence[str] = ()

    @property
    def slowest(self) -> Case:
        """The case with the highest p95."""
        return max(self.cases, key=lambda case: case.p95_ms)

    @property
    def most_statements(self) -> int:
        """The most statements of any page or answer."""
        return max(need.statements for need in self.needs.values())

    @property
    def strange(self) -> int:
        """How many answers to pages and REST questions were no 200."""
        return sum(case.strange.total() for case in self.cases)

    @property
    def pages_ok(self) -> bool:
        """Whether every page and answer stayed below its floors."""
        if not self.cases:
            return True
        return self.slowest.p95_ms <= pages.FLOOR_MS and self.most_statements <= statements.FLOOR and not self.strange

    @property
    def added_p99_ms(self) -> float:
        """What generator and readers together add to the calls' p99, in milliseconds."""
        alone, both = (self.stretches[title] for title in ("calls alone", "with both"))
        return both.call_ms(99) - alone.call_ms(99)

    @property
    def lag_s(self) -> float:
        """The roll-ups' greatest lag with generator and readers, in seconds."""
        return max(self.stretches["with both"].lags_s)

    @property
    def ingest_ok(self) -> bool:
        """Whether no row was lost or doubled, no call failed, and lag and added time stayed below their floors."""
        if not self.stretches:
            return True
        harmed = any(found.lost or found.doubled or found.calls.failed for found in self.stretches.values())
        return not harmed and self.lag_s <= ingest.LAG_FLOOR_S and self.added_p99_ms <= ingest.P99_FLOOR_MS

    @property
    def ok(self) -> bool:
        """Whether everything that was measured holds."""
        return self.pages_ok and self.ingest_ok


def measure(
    log: Seeded, *, samples: int, periods: Sequence[str], stretch_s: float, only: str | None, chance: random.Random
) -> Findings:
    """Measure pages and ingest, or `only` one of them.

    Args: samples: answers to each question; stretch_s: the length of each of the four stretches of ingest.
    """
    gateway = log.gateway
    findings = Findings(log, sizes.sizes(gateway))
    with journal_load.prepared(gateway) as load:
        everything = names.seen_by(Scope(sees_addresses=True), chance)
        signed_in = people.sign_in(gateway, everything.busiest("namespace"), everything.busiest("user"))
        seen = {role: names.seen_by(person.scope, chance) for role, person in signed_in.items()}
        if only != "ingest":
            _pages(findings, signed_in, seen, samples, periods, chance)
        if only != "pages":
            shown = [route for route in routes.readable() if route.is_page]
            findings.stretches = ingest.measure(gateway, load, signed_in, seen, shown, stretch_s)
    return findings


def _pages(
    findings: Findings,
    signed_in: Mapping[str, Person],
    seen: Mapping[str, Catalogue],
    samples: int,
    periods: Sequence[str],
    chance: random.Random,
) -> None:
    asked = pages.cases(routes.readable(), signed_in, seen, periods)
    pages.measure(asked, samples, chance)
    findings.cases = asked
    ends = (pages.ALWAYS, periods[0], periods[-1])
    findings.needs = statements.needs([case for case in asked if case.period in ends], chance)
    missed = sorted((case for case in asked if case.p95_ms > pages.FLOOR_MS), key=lambda case: -case.p95_ms)
    findings.plans = [statements.explain(case) for case in missed[:_EXPLAINED]]


def by_title(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Return the cases of each question, in the order of the URL conf."""
    return {title: list(group) for title, group in groupby(cases, key=lambda case: case.variant.title)}


def roles() -> str:
    """Return who asked, in words."""
    others = [role for role in people.ROLES if role != SUPERUSER]
    return f"a {SUPERUSER}, and {' and '.join(others)} of a team of five namespaces"
