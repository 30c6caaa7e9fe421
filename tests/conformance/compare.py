"""What changes when the gateway stands in between: check by check, scenario by scenario."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.suite import Check, Run

COUNTED = ("SUCCESS", "FAILURE", "WARNING", "SKIPPED")  # INFO only narrates


@dataclass(slots=True)
class Comparison:
    """One requirement set against one server, directly and (unless only that was asked for) through the gateway."""

    target: str
    revision: str
    scored: set[str]
    direct: Run
    through: Run | None = None
    regressions: list[str] = field(default_factory=list)
    improvements: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.through is not None:
            self._compare_checks(self.through)
            self._compare_scenarios(self.through)

    def _compare_checks(self, through: Run) -> None:
        before, after = self.direct.by_check(), through.by_check()
        for key in sorted(before.keys() | after.keys()):
            passed = _passed(before.get(key, []))
            passes = _passed(after.get(key, []))
            label = f"{key[0]} · {key[1]} · {key[2]}"
            if passes < passed:
                self.regressions.append(f"{label}: {_told(after.get(key, []))}")
            elif passes > passed:
                self.improvements.append(f"{label}: directly {_told(before.get(key, []))}")

    def _compare_scenarios(self, through: Run) -> None:
        lost = (self.direct.passing() - through.passing()) & self.scored
        self.regressions.extend(f"scored scenario {name} passes directly and fails through" for name in sorted(lost))

    @property
    def scenarios(self) -> list[str]:
        """Every scenario that ran, sorted."""
        runs = [self.direct, self.through] if self.through else [self.direct]
        return sorted({check.scenario for run in runs for check in run.checks})

    def row(self, scenario: str) -> tuple[str, str, str]:
        """Passed/counted checks directly and through, and the difference in words."""
        direct, through = _tally(self.direct, scenario), _tally(self.through, scenario)
        if self.through is None:
            return direct, "", ""
        prefix = f"{scenario} · "
        worse = sum(line.startswith(prefix) for line in self.regressions)
        better = sum(line.startswith(prefix) for line in self.improvements)
        words = [f"{worse} worse"] * bool(worse) + [f"{better} better"] * bool(better)
        return direct, through, ", ".join(words) or "same"

    def table(self) -> str:
        """The comparison for people."""
        wide = max(len(name) for name in self.scenarios) + 2
        lines = [f"{self.target}, requirements {self.revision}", f"{'scenario':<{wide}} direct  through  difference"]
        for name in self.scenarios:
            direct, through, difference = self.row(name)
            mark = "" if name in self.scored else "  (not scored)"
            lines.append(f"{name:<{wide}} {direct:>6}  {through:>7}  {difference}{mark}")
        totals = self.summary()
        lines.append(f"checks passed: {totals['direct']['SUCCESS']} direct" + _through_total(totals))
        lines.extend(f"  WORSE  {line}" for line in self.regressions)
        lines.extend(f"  better {line}" for line in self.improvements)
        return "\n".join(lines)

    def summary(self) -> dict[str, Any]:
        """Counts, differences and what already fails directly, as JSON."""
        runs = {"direct": self.direct, "through": self.through}
        tallies = {name: {s: run.count(s) for s in COUNTED} for name, run in runs.items() if run is not None}
        failing = [
            f"{check.scenario} · {check.id} · {check.name}: {check.message}"
            for check in self.direct.checks
            if check.status == "FAILURE"
        ]
        passing = {f"scored_{name}": _scored(run, self.scored) for name, run in runs.items() if run is not None}
        rows = {
            name: dict(zip(("direct", "through", "difference"), self.row(name), strict=True)) for name in self.scenarios
        }
        return {
            "target": self.target,
            "requirements": self.revision,
            **tallies,
            **passing,
            "regressions": self.regressions,
            "improvements": self.improvements,
            "failing_directly": failing,
            "scenarios": rows,
        }


def _passed(checks: Iterable[Check]) -> int:
    return sum(check.status == "SUCCESS" for check in checks)


def _told(checks: list[Check]) -> str:
    """Why a check did not pass, or that it never ran."""
    bad = [check for check in checks if check.status != "SUCCESS"]
    if not bad:
        return "not reported"
    return f"{bad[0].status} {bad[0].message}".strip()


def _tally(run: Run | None, scenario: str) -> str:
    if run is None:
        return ""
    checks = [check for check in run.checks if check.scenario == scenario and check.status in COUNTED]
    return f"{_passed(checks)}/{len(checks)}"


def _scored(run: Run, scored: set[str]) -> str:
    return f"{len(run.passing() & scored)}/{len(scored)}"


def _through_total(totals: dict[str, Any]) -> str:
    scored = f" (scored scenarios {totals['scored_direct']})"
    if "through" not in totals:
        return scored
    return f"{scored}, {totals['through']['SUCCESS']} through (scored scenarios {totals['scored_through']})"
