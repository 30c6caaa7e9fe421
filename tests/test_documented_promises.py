"""docs/reliability.md tells the truth: what it names is there, and every fault test has its row."""

from __future__ import annotations

import re

from tests.gateway import ROOT

PAGE = (ROOT / "docs/reliability.md").read_text()


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", PAGE))
    assert len(named) > 40
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_promise_has_a_test_that_is_one() -> None:
    rows = re.findall(r"^\| (P\d+) \|.*\| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) == len(dict(rows)) >= 30
    for number, held in rows:
        files = re.findall(r"`(tests/[\w/.]+\.py)`", held)
        assert files, number
        assert all("def test_" in (ROOT / name).read_text() for name in files), number


def test_every_target_of_the_fuzzer_is_described() -> None:
    from tests.fuzz.run import TARGETS

    described = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE))
    files = {path.stem for path in (ROOT / "tests/fuzz").glob("*.py")} - {"__init__", "run", "test_targets"}
    assert described == set(TARGETS) == files
