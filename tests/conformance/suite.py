"""One run of the conformance suite against one URL, and its checks as data."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conformance import node

REVISIONS = ("2025-11-25", "2026-07-28")
STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[0-9-]+Z$")
TIMEOUT_S = 600  # of a whole run; the suite gives each scenario 30 s


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one scenario: `status` is SUCCESS, FAILURE, WARNING, SKIPPED or INFO."""

    scenario: str
    id: str
    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Run:
    """All checks of one requirement set against one URL."""

    checks: list[Check]
    output: str

    def by_check(self) -> dict[tuple[str, str, str], list[Check]]:
        """The checks under (scenario, id, name); the suite repeats some within a scenario."""
        found: dict[tuple[str, str, str], list[Check]] = defaultdict(list)
        for check in self.checks:
            found[check.scenario, check.id, check.name].append(check)
        return found

    def passing(self) -> set[str]:
        """The scenarios without a failed check, by the suite's own reading."""
        failed = {check.scenario for check in self.checks if check.status == "FAILURE"}
        return {check.scenario for check in self.checks} - failed

    def count(self, status: str) -> int:
        """How many checks have a status."""
        return sum(check.status == status for check in self.checks)


def scored_scenarios(revision: str) -> set[str]:
    """The server scenarios that decide conformance to a revision."""
    document: dict[str, Any] = yaml.safe_load((node.REQUIREMENTS / f"{revision}.yaml").read_text())
    return set(document["server"])


async def run(url: str, revision: str) -> Run:
    """Run a requirement set.

    Raises:
        RuntimeError: the suite made no results; the message carries the end of its output.
        TimeoutError: it did not end in time.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        command = [node.binary(), str(node.CONFORMANCE), "server", "--url", url, "--requirements", revision]
        child = await asyncio.create_subprocess_exec(
            *command, "-o", folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            output, _ = await asyncio.wait_for(child.communicate(), TIMEOUT_S)
        finally:
            if child.returncode is None:
                child.kill()
        text = output.decode(errors="replace")
        checks = [check for path in sorted(Path(folder).glob("*/checks.json")) for check in _read(path)]
    if not checks:
        raise RuntimeError(f"the conformance suite left no results for {url}; it said: {text[-2000:]}")
    return Run(checks, text)


def _read(path: Path) -> list[Check]:
    scenario = STAMP.sub("", path.parent.name).removeprefix("server-")
    return [
        Check(scenario, item["id"], item["name"], item["status"], str(item.get("errorMessage") or ""))
        for item in json.loads(path.read_text())
    ]
