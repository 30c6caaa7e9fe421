"""`make fuzz`: every target under atheris, guided by coverage, for a limited time each, and a table of what came of it.

Run: `python -m tests.fuzz.run [--seconds N] [TARGET …]`. Corpora grow in .fuzz/, so a later run goes on where this one
ended; an input that a target fails on is written there too, and the exit code says so.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("json_messages", "event_streams", "sessions", "list_filters", "upstream_answers")
LONGEST_INPUT = 1024
# One input that takes longer than this is a finding.
SLOWEST_S = 5


def fuzz(target: str, arguments: list[str]) -> None:
    """Run one target in this process under libFuzzer; it does not return."""
    import atheris

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    with atheris.instrument_imports(include=["proxy", "namespaces"]):
        module = importlib.import_module(f"tests.fuzz.{target}")
    atheris.Setup([sys.argv[0], *arguments], module.check)
    atheris.Fuzz()


def run(target: str, seconds: float) -> tuple[str, bool]:
    """Run one target in a process of its own; return its row of the table, and whether it found nothing."""
    corpus = ROOT / ".fuzz" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in importlib.import_module(f"tests.fuzz.{target}").SEEDS:
        (corpus / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    options = [
        f"-max_total_time={seconds:g}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SLOWEST_S}",
        "-rss_limit_mb=1024",
    ]
    options += [f"-artifact_prefix={corpus}-", "-print_final_stats=1", str(corpus)]
    command = [sys.executable, "-m", "tests.fuzz.run", "--one", target, "--", *options]
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    executed = re.search(r"stat::number_of_executed_units: (\d+)", said)
    coverage = re.findall(r"cov: (\d+)", said)
    good = done.returncode == 0
    row = (
        f"{target:18} {int(executed[1]) if executed else 0:>12,} executions in {time.monotonic() - begun:5.0f} s  "
        f"coverage {coverage[-1] if coverage else '?':>5}  corpus {len(list(corpus.iterdir())):>5}  "
        f"{'no finding' if good else 'FOUND'}"
    )
    return (row if good else f"{row}\n{said[-4000:]}"), good


def main() -> int:
    """Run the targets one after the other; 1 when any of them found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--one", choices=TARGETS, help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", default=None)
    options = parser.parse_args()
    if options.one:
        fuzz(options.one, options.targets)
    found = 0
    for target in options.targets or TARGETS:
        row, good = run(target, options.seconds)
        print(row, flush=True)
        found += not good
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
