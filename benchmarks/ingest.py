"""Calls while much is recorded and dashboards are read: rows lost, roll-ups' lag, and what it costs the calls.

Four stretches of equal length on one gateway: calls alone, with the generator, with readers, with both.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from analytics import rollups
from benchmarks import callers, journal_load, processes, seeded
from benchmarks.callers import Calls
from benchmarks.journal_load import JournalLoad
from benchmarks.names import Catalogue
from benchmarks.pages import Case, Variant
from benchmarks.people import AUDITOR, MEMBER, SUPERUSER, Person
from tests.gateway import Gateway
from tests.reliability.ledger import Comparison, compare
from tests.routes import Route

ROWS_PER_S = 5000
CALLS_PER_S = 200
READERS = (SUPERUSER, SUPERUSER, AUDITOR, AUDITOR, MEMBER)
READ_EVERY_S = 2.0
PERIODS = ("24h", "7d")
LAG_FLOOR_S = 5.0
P99_FLOOR_MS = 20.0
STRETCHES = {"calls alone": (False, False), "with the generator": (True, False), "with readers": (False, True)} | {
    "with both": (True, True)
}
_LAG_EVERY_S = 0.5
_CHILDREN = {"pages": "pages", "shipper": "shipper", "keeper": "maintain"}


@dataclass(slots=True)
class Stretch:
    """What one stretch came to. Times in milliseconds, lags in seconds, CPU as a share of one core by process."""

    calls: Calls
    call_rows: Comparison
    written: int = 0
    written_rows: Comparison | None = None
    lags_s: list[float] = field(default_factory=list)
    pages_ms: list[float] = field(default_factory=list)
    strange_pages: int = 0
    cpu: Mapping[str, float] = field(default_factory=dict)

    def call_ms(self, percentile: int) -> float:
        """Return a percentile of the calls' times."""
        return statistics.quantiles(self.calls.took_s, n=100)[percentile - 1] * 1000

    @property
    def lost(self) -> int:
        """Rows that were written or answered and are not in the log."""
        return self.call_rows.missing + (self.written_rows.missing if self.written_rows else 0)

    @property
    def doubled(self) -> int:
        """Ids that the log has twice."""
        return self.call_rows.doubled + (self.written_rows.doubled if self.written_rows else 0)


class Watch:
    """Looks at the roll-ups' lag twice a second, over a connection of its own, for the length of a `with` block."""

    def __init__(self, gateway: Gateway) -> None:
        self.lags_s: list[float] = []
        self._url = gateway.sql_url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        with psycopg.connect(self._url, autocommit=True, application_name="benchmark") as connection:
            while not self._stop.wait(_LAG_EVERY_S):
                if (lag_s := rollups.lag_s(connection)) is not None:
                    self.lags_s.append(lag_s)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Reader:
    """Opens a page every two seconds, as somebody does who looks around; never sooner than the last one is there."""

    def __init__(self, number: int, person: Person, names: Catalogue, pages: Sequence[Route]) -> None:
        self._chance = random.Random(number)
        self._cases = [Case(Variant(page), period, person, names) for page in pages for period in PERIODS]
        self._delay_s = number * READ_EVERY_S / len(READERS)

    def read(self, stop: threading.Event) -> None:
        """Read until told to stop."""
        due = time.monotonic() + self._delay_s
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + READ_EVERY_S, time.monotonic())
            self._chance.choice(self._cases).ask(self._chance)

    def times_ms(self) -> list[float]:
        """Return how long the pages took."""
        return [took for case in self._cases for took in case.took_ms]

    def strange(self) -> int:
        """Return how many answers were something else than a page."""
        return sum(case.strange.total() for case in self._cases)


@contextlib.contextmanager
def _reading(readers: Sequence[Reader]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=reader.read, args=(stop,)) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def measure(
    gateway: Gateway,
    load: JournalLoad,
    people: Mapping[str, Person],
    names: Mapping[str, Catalogue],
    pages: Sequence[Route],
    seconds: float,
) -> dict[str, Stretch]:
    """Run the four stretches, `seconds` each, and return what each came to."""
    found = {}
    for number, (title, (writes, reads)) in enumerate(STRETCHES.items()):
        chosen = READERS if reads else ()
        readers = [Reader(place, people[role], names[role], pages) for place, role in enumerate(chosen)]
        seeded.await_rollups(gateway)
        name = f"ingest-{number}-{time.time():.0f}"
        print(f"ingest: {title}, {seconds:g} s", file=sys.stderr)
        found[title] = _stretch(gateway, load if writes else None, readers, seconds, name)
    return found


def _stretch(
    gateway: Gateway, load: JournalLoad | None, readers: Sequence[Reader], seconds: float, name: str
) -> Stretch:
    begun = datetime.now(UTC)
    with contextlib.ExitStack() as stack:
        written = None
        pids = _pids(gateway)
        if load is not None:
            written, pids["generator"] = stack.enter_context(load.running(ROWS_PER_S, seconds + 4))
        watch = stack.enter_context(Watch(gateway))
        stack.enter_context(_reading(readers))
        key, rate = seeded.KEY, CALLS_PER_S
        making = stack.enter_context(callers.running(gateway, seeded.NAMESPACE, key, name, rate, seconds))
        cpu = Cpu(pids)
        calls = making.calls()
        shares = cpu.shares()
    return Stretch(
        calls,
        compare(gateway, name, set(calls.answered), since=begun),
        len(written.rows()) if written else 0,
        journal_load.compare(gateway, written) if written else None,
        watch.lags_s,
        [took for reader in readers for took in reader.times_ms()],
        sum(reader.strange() for reader in readers),
        shares,
    )


class Cpu:
    """The CPU time of some processes from now on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._begun = time.monotonic()
        self._before = {name: self._used(name) for name in pids}

    def _used(self, name: str) -> float:
        pid = self._pids[name]
        return processes.tree_cpu_s(pid) if name == "postgres" else processes.cpu_s(pid)

    def shares(self) -> dict[str, float]:
        """Return the share of one core that each took since then; one that has ended is left out."""
        length = time.monotonic() - self._begun
        found = {}
        for name, before in self._before.items():
            with contextlib.suppress(OSError):
                found[name] = (self._used(name) - before) / length
        return found


def _pids(gateway: Gateway) -> dict[str, int]:
    children = {name: gateway.pid_of(child) for name, child in _CHILDREN.items()}
    postgres = int((gateway.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    return {"worker": gateway.worker_pids()[0], "postgres": postgres} | {
        name: pid for name, pid in children.items() if pid is not None
    }
