"""The comparison finds every way in which the gateway may make a check worse."""

from __future__ import annotations

import pytest

from tests.conformance.compare import Comparison
from tests.conformance.suite import Check, Run


def _run(*statuses: tuple[str, str]) -> Run:
    return Run([Check("tools-list", identifier, "Name", status, "why") for identifier, status in statuses], "")


def _compare(direct: Run, through: Run, scored: set[str] | None = None) -> Comparison:
    return Comparison("sdk", "2025-11-25", scored or set(), direct, through)


def test_equal_runs_have_no_differences() -> None:
    found = _compare(_run(("a", "SUCCESS"), ("b", "FAILURE")), _run(("a", "SUCCESS"), ("b", "FAILURE")))
    assert found.regressions == [] and found.improvements == []
    assert found.row("tools-list") == ("1/2", "1/2", "same")


@pytest.mark.parametrize("status", ["FAILURE", "WARNING", "SKIPPED"])
def test_a_check_that_no_longer_passes_is_worse(status: str) -> None:
    assert len(_compare(_run(("a", "SUCCESS")), _run(("a", status))).regressions) == 1


def test_a_check_that_is_no_longer_reported_is_worse() -> None:
    found = _compare(_run(("a", "SUCCESS"), ("b", "SUCCESS")), _run(("a", "SUCCESS")))
    assert found.regressions == ["tools-list · b · Name: not reported"]


def test_repeated_checks_are_counted() -> None:
    twice = _run(("a", "SUCCESS"), ("a", "SUCCESS"))
    assert len(_compare(twice, _run(("a", "SUCCESS"), ("a", "FAILURE"))).regressions) == 1


def test_a_scored_scenario_that_gains_a_failure_is_lost_even_if_no_passing_check_is() -> None:
    direct, through = _run(("a", "SUCCESS")), _run(("a", "SUCCESS"), ("new", "FAILURE"))
    assert _compare(direct, through).regressions == []
    assert "scored scenario tools-list" in _compare(direct, through, {"tools-list"}).regressions[0]


def test_a_check_that_only_passes_through_is_an_improvement() -> None:
    found = _compare(_run(("a", "FAILURE")), _run(("a", "SUCCESS")))
    assert found.regressions == [] and found.improvements == ["tools-list · a · Name: directly FAILURE why"]


def test_summary_names_what_already_fails_directly() -> None:
    summary = _compare(_run(("a", "FAILURE")), _run(("a", "FAILURE")), {"tools-list"}).summary()
    assert summary["failing_directly"] == ["tools-list · a · Name: why"]
    assert summary["scored_direct"] == summary["scored_through"] == "0/1"
