"""Load from the generator process: what it draws from, its start and end, and what became of every row it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import machine, seeded
from benchmarks.generator import SAMPLED
from tests.gateway import Gateway
from tests.reliability.ledger import Comparison

_SAMPLE_ROWS = 20_000
_SHIPPED_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Written:
    """What a generator has put on the journal since `since`."""

    ids: Path
    since: datetime

    def rows(self) -> list[uuid.UUID]:
        """Return the ids in the order of writing."""
        content = self.ids.read_bytes()
        return [uuid.UUID(bytes=content[place : place + 16]) for place in range(0, len(content), 16)]


class JournalLoad:
    """Generators for one gateway, all drawing from one sample of its log."""

    def __init__(self, gateway: Gateway, directory: Path) -> None:
        """Draw the sample into `directory`, which also takes the ids."""
        self._gateway = gateway
        self._directory = directory
        self._sample = directory / "sample.json"
        self._sample.write_text(json.dumps(_sample(gateway)))
        self._runs = 0

    @contextmanager
    def running(self, rate: float, seconds: float) -> Iterator[tuple[Written, int]]:
        """Write `rate` rows a second for `seconds`; yield what is written and the process, wait for its end after."""
        written, process = self._start("--rate", str(rate), "--seconds", str(seconds))
        try:
            yield written, process.pid
            process.wait(seconds + 60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, f"the generator ended with {process.returncode}"

    def fill(self, count: int, since: datetime, until: datetime) -> None:
        """Write `count` calls evenly between two moments of the past and wait until they are in the log."""
        written, process = self._start("--spread", str(count), str(since.timestamp()), str(until.timestamp()))
        assert process.wait(600) == 0
        # A moment as a float may come out a microsecond earlier.
        found = compare(self._gateway, Written(written.ids, since - timedelta(seconds=1)))
        assert found.missing == 0, f"{found.missing} of {count} rows were not shipped"

    def _start(self, *options: str) -> tuple[Written, subprocess.Popen[bytes]]:
        self._runs += 1
        ids = self._directory / f"ids-{self._runs}"
        journal = self._gateway.data_dir / "journal"
        command = [sys.executable, "-m", "benchmarks.generator", str(journal), str(self._sample), str(ids), *options]
        begun = datetime.now(UTC)
        process = subprocess.Popen(command, cwd=machine.ROOT, stdout=subprocess.DEVNULL)
        return Written(ids, begun), process


@contextmanager
def prepared(gateway: Gateway) -> Iterator[JournalLoad]:
    """Yield generators for the gateway, with the time since it was seeded filled at the seeded rate."""
    with tempfile.TemporaryDirectory(prefix="bench-journal-") as directory:
        load = JournalLoad(gateway, Path(directory))
        if missing := seeded.gap(gateway):
            ((rows, days),) = gateway.query(
                "SELECT count(*), extract(epoch FROM max(at) - min(at)) / 86400 FROM analytics_requestlog"
            )
            since = seeded.newest(gateway)
            load.fill(round(int(rows) / float(days) * missing.total_seconds() / 86400), since, since + missing)
            seeded.await_rollups(gateway)
        yield load


def compare(gateway: Gateway, written: Written) -> Comparison:
    """Wait until everything written is in the log, at most two minutes, and a second for doubles."""
    wanted = set(written.rows())
    begun = time.monotonic()
    while (missing := wanted - _found(gateway, written.since).keys()) and time.monotonic() < begun + _SHIPPED_WITHIN_S:
        time.sleep(0.5)
    waited_s = time.monotonic() - begun
    time.sleep(1)
    found = _found(gateway, written.since)
    return Comparison(len(missing), sum(found[name] > 1 for name in wanted), waited_s)


def _found(gateway: Gateway, since: datetime) -> Counter[uuid.UUID]:
    rows = gateway.query("SELECT id FROM analytics_requestlog WHERE at >= %s", since)
    return Counter(identifier for (identifier,) in rows)


def _sample(gateway: Gateway) -> list[list[object]]:
    """Return rows of the log to draw calls from, from all over its time."""
    columns = ", ".join(SAMPLED)
    ((rows,),) = gateway.query("SELECT sum(reltuples) FROM pg_class WHERE relname ~ '^analytics_requestlog_[0-9]+$'")
    share = min(100.0, 100.0 * _SAMPLE_ROWS / max(1.0, float(rows)))
    drawn = gateway.query(
        f"SELECT {columns} FROM analytics_requestlog TABLESAMPLE SYSTEM ({share:f})"
        " WHERE reason IS DISTINCT FROM 'opened' AND namespace <> %s",
        seeded.NAMESPACE,
    )
    assert drawn, "the log is empty"
    return [list(row) for row in drawn]
