"""`make bench-analytics`: pages, REST answers and ingest on a log of 10 million rows over 30 days."""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, seeded


@dataclass(frozen=True, slots=True)
class Size:
    """How much is seeded, how often each question is asked, over which periods, and how long each stretch takes."""

    rows: int
    samples: int
    periods: tuple[str, ...]
    stretch_s: float


FULL = Size(10_000_000, 30, ("1h", "24h", "7d", "30d"), 60)
QUICK = Size(200_000, 2, ("30d",), 4)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analytics", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200,000 rows, over a minute; writes no results")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="a data directory that is kept: seeded when it is new, used as it is otherwise (rows are added to it)",
    )
    parser.add_argument("--only", choices=["pages", "ingest"], help="one of the two parts; writes no results")
    parser.add_argument("--samples", type=int, help="how often each page is asked for (30; quick: 2)")
    parser.add_argument("--explain", type=Path, metavar="FILE", help="append the plans of pages that miss their floor")
    return parser.parse_args()


@contextlib.contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="bench-data-") as directory:
        yield Path(directory, "data")


def main() -> int:
    """Measure, print and write the tables; exit code 1 when a floor is missed."""
    options = _options()
    size = QUICK if options.quick else FULL
    about = machine.describe()
    with _directory(options.data_dir) as directory:
        seeded.adopt(directory)
        # These need Django, which is that directory's from here on.
        from benchmarks import analytics_report, analytics_run

        with seeded.running(directory, size.rows) as log:
            findings = analytics_run.measure(
                log,
                samples=options.samples or size.samples,
                periods=size.periods,
                stretch_s=size.stretch_s,
                only=options.only,
                chance=random.Random(3),
            )
        if options.explain is not None:
            with options.explain.open("a") as stream:
                stream.writelines(f"{plan}\n\n" for plan in findings.plans)
    writes = not options.quick and options.only is None
    print(analytics_report.body(findings))
    if writes:
        print(f"\nWritten: {analytics_report.write(findings, about)}")
    return 0 if findings.ok else 1


if __name__ == "__main__":
    sys.exit(main())
