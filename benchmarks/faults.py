"""`make faults`: the reliability tests, and a table of what each of them found.

With --full every test runs at its full length (about half an hour, all of which the soak runs beside the others) and
results/ gets the table. Named files run alone; with --full their rows replace those of the day's results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import machine, report

EVERYTHING, SOAK = "tests/reliability", "tests/reliability/test_soak.py"
# The short form waits more than it works: two files at a time, each process with a PostgreSQL of its own.
_TWO_AT_A_TIME = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one test found: the rows of the security page it stands for, its load, its result, its floor."""

    row: str
    load: str
    result: str
    floor: str
    held: bool
    test: str
    seconds: float
    commit: str = ""


def run(full: bool, memory: str, *tests: str) -> tuple[int, list[Finding]]:
    """Run tests; return pytest's exit code and the findings. `memory`: the directory that knows what failed."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "junit.xml")
        chosen = ["-k", "not short"] if full else ["-m", "not slow"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            *tests,
            f"--junitxml={path}",
            "-o",
            "junit_family=xunit1",
            "-o",
            f"cache_dir={memory}",
            "--durations=15",
            "--durations-min=3",
            *chosen,
        ]
        env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        code = subprocess.run(command, cwd=machine.ROOT, env=env, check=False).returncode
        return code, _findings(path) if path.exists() else []


def _findings(path: Path) -> list[Finding]:
    found, commit = [], machine.commit()
    # The file is pytest's own, written a moment ago.
    for case in ET.parse(path).getroot().iter("testcase"):
        said = {entry.get("name"): entry.get("value") or "" for entry in case.iter("property")}
        held = case.find("failure") is None and case.find("error") is None and case.find("skipped") is None
        name, seconds = str(case.get("name")), float(case.get("time") or 0)
        if {"row", "load", "result", "floor"} <= said.keys():
            row, load, result, floor = said["row"], said["load"], said["result"], said["floor"]
            found.append(Finding(row, load, result, floor, held, name, seconds, commit))
        elif not held:
            found.append(Finding("–", name, "did not get as far as a result", "", False, name, seconds, commit))
    return found


def _number(finding: Finding) -> int:
    return int("".join(filter(str.isdigit, finding.row.split(",")[0])) or 0)


def _with_todays(findings: list[Finding]) -> list[Finding]:
    """Return the findings, and those of today's results that were not measured anew."""
    path = report.RESULTS / f"faults-{datetime.now(UTC):%Y-%m-%d}.json"
    before = [Finding(**entry) for entry in json.loads(path.read_text())["findings"]] if path.exists() else []
    measured = {finding.test for finding in findings}
    return [*findings, *(finding for finding in before if finding.test not in measured)]


def _replaced(findings: list[Finding], again: list[Finding]) -> list[Finding]:
    """Return the findings, those that were measured twice as the second time found them, and said to be."""
    second = {found.test: replace(found, load=f"{found.load} (measured twice)") for found in again}
    return [second.get(found.test, found) for found in findings]


def _measure(full: bool, *tests: str) -> tuple[int, list[Finding]]:
    """Run tests, and what failed once more by itself."""
    with tempfile.TemporaryDirectory() as memory:
        code, findings = run(full, memory, *tests, *(() if full else _TWO_AT_A_TIME))
        if code == pytest.ExitCode.TESTS_FAILED:
            print("=== once more, by themselves, because the machine may have been busy: ===", flush=True)
            code, again = run(full, memory, *tests, "--last-failed")
            findings = _replaced(findings, again)
    return code, findings


def _measure_everything() -> tuple[int, list[Finding]]:
    """Run every test at its full length, the soak beside all the others."""
    with ThreadPoolExecutor(2) as both:
        soaking = both.submit(_measure, True, SOAK)
        code, findings = _measure(True, EVERYTHING, f"--ignore={SOAK}")
        soak_code, soak = soaking.result()
    return code or soak_code, findings + soak


def table(findings: list[Finding]) -> str:
    """Return the findings as a table."""
    ordered = sorted(findings, key=_number)
    rows = [[f.row, f.load, f.result, f.floor, "holds" if f.held else "**missed**"] for f in ordered]
    return report.table(["row", "load", "found", "floor", ""], rows)


def main() -> int:
    """Run the tests, print the table, write it when --full; the exit code is pytest's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--full", action="store_true", help="full length; writes the results")
    parser.add_argument("tests", nargs="*", help="files of tests/reliability; all of them when none is named")
    options = parser.parse_args()
    about = machine.describe()
    if options.full and not options.tests:
        code, findings = _measure_everything()
    else:
        code, findings = _measure(options.full, *(options.tests or [EVERYTHING]))
    if options.full:
        findings = _with_todays(findings)
    body = table(findings)
    print(body)
    if options.full and findings:
        figures = {"exit_code": code, "findings": [asdict(finding) for finding in findings]}
        print(f"\nWritten: {report.write('faults', 'What survives which fault', about, body, figures)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
