"""`python -m benchmarks.limits`: how exact rate limits are, over workers and over hosts, and what they cost.

A part of `make faults` by itself. With --full the windows are minutes (about fifteen minutes in all) and the table is
written to results/.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from benchmarks import faults, machine, report

TESTS = tuple(f"tests/reliability/test_{name}.py" for name in ("rate_limit", "sliding_window", "limit_cost"))


def main() -> int:
    """Run the tests, print the table, write it when --full; the exit code is pytest's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    parser.add_argument("--full", action="store_true", help="windows of a minute; writes the results")
    options = parser.parse_args()
    about = machine.describe()
    code, findings = faults.run(options.full, *TESTS)
    body = faults.table(findings)
    print(body)
    if options.full and findings:
        figures = {"exit_code": code, "findings": [asdict(finding) for finding in findings]}
        print(f"\nWritten: {report.write('limits', 'How exact limits are', about, body, figures)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
