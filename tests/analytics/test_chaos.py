"""Writers, shippers and Postgres itself are killed at random moments: 0 acknowledged rows missing, 0 doubled.

Load: two writers of 500 calls a second each; each kill comes at a random moment and the next process starts at once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from gateway_project import postgres
from tests import databases
from tests.gateway import wait_for

PER_SECOND = 500


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Yield the URL of a migrated database on a server of the test's own, and the file with the server's pid."""
    directory = tmp_path_factory.mktemp("pg")
    with postgres.running(directory):
        server = databases.url_of_socket(postgres.socket_directory(directory), "postgres")
        url = databases.create(server, "chaos")
        databases.migrate(url)
        yield url, directory / "postgres" / "postmaster.pid"


class Chaos:
    """The processes of one run, and the killing of them."""

    def __init__(self, journal: Path, url: str, pid_file: Path) -> None:
        self.journal, self.url, self.pid_file = journal, url, pid_file
        self.acknowledged = journal.parent / "acknowledged"
        self.writers = [self._writer(), self._writer()]
        self.shipper = self._shipper()

    def _writer(self) -> subprocess.Popen[bytes]:
        arguments = [str(self.journal), str(self.acknowledged), str(PER_SECOND)]
        return subprocess.Popen([sys.executable, "-m", "tests.analytics.write_loop", *arguments])

    def _shipper(self) -> subprocess.Popen[bytes]:
        arguments = [str(self.journal), self.url]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.analytics.ship_loop", *arguments], stderr=subprocess.DEVNULL
        )

    def kill_writer(self) -> None:
        victim = random.randrange(2)
        self.writers[victim].kill()
        self.writers[victim].wait()
        self.writers[victim] = self._writer()

    def kill_shipper(self) -> None:
        self.shipper.kill()
        self.shipper.wait()
        self.shipper = self._shipper()

    def stop_postgres(self, how: signal.Signals) -> None:
        """Signal the server; its keeper starts it again, and until then there is no file, or that of the dead one."""

        def signalled() -> bool:
            try:
                os.kill(int(self.pid_file.read_text().split()[0]), how)
            except (FileNotFoundError, IndexError, ProcessLookupError):
                return False
            return True

        wait_for(signalled, 30)

    def end(self) -> None:
        for process in (*self.writers, self.shipper):
            process.terminate()
        for process in (*self.writers, self.shipper):
            process.wait(20)


def run(actions: list[Callable[[], None]], pause_s: float) -> None:
    random.shuffle(actions)
    for action in actions:
        time.sleep(random.uniform(0.2, 2 * pause_s))
        action()
    time.sleep(1)


@pytest.mark.parametrize(
    ("writers", "shippers", "stops", "pause_s"),
    [
        pytest.param(5, 12, 3, 0.4, id="short"),
        pytest.param(20, 50, 4, 0.6, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_nothing_is_lost_or_doubled(
    own_server: tuple[str, Path], tmp_path: Path, writers: int, shippers: int, stops: int, pause_s: float
) -> None:
    url, pid_file = own_server
    journal = tmp_path / "journal"
    journal.mkdir()
    chaos = Chaos(journal, url, pid_file)
    hows = [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT, signal.SIGKILL][:stops]
    actions: list[Callable[[], None]] = [chaos.kill_writer] * writers + [chaos.kill_shipper] * shippers
    actions += [lambda how=how: chaos.stop_postgres(how) for how in hows]
    try:
        run(actions, pause_s)
    finally:
        chaos.end()
    ship_the_rest(journal, url)

    stored, refused = rows_of(url)
    acknowledged = chaos.acknowledged.read_text().split()
    found = Counter(stored) + Counter(refused)
    missing = set(acknowledged) - found.keys()
    doubled = [number for number, count in found.items() if count > 1]
    print(
        f"{len(acknowledged)} acknowledged, {len(stored)} stored, {len(refused)} refused, {len(missing)} missing, "
        f"{len(doubled)} doubled, {len(found.keys() - set(acknowledged))} stored though not acknowledged"
    )
    assert len(acknowledged) > 2 * PER_SECOND and refused
    assert not missing and not doubled
    assert list(journal.glob("*.copy")) == []


def ship_the_rest(journal: Path, url: str) -> None:
    """Ship what is left as an operator would."""
    environment = os.environ | {"DATABASE_URL": url, "DATABASE_DIRECT_URL": url, "GATEWAY_JOURNAL_DIR": str(journal)}
    command = [sys.executable, "manage.py", "ship", "--once"]
    subprocess.run(command, cwd=databases.ROOT, env=environment, check=True, capture_output=True, timeout=60)


def rows_of(url: str) -> tuple[list[str], list[str]]:
    """Return the ids in the request log and those of the refused lines."""
    with psycopg.connect(url) as connection:
        stored = [row[0].hex for row in connection.execute("SELECT id FROM analytics_requestlog")]
        refused = [row[0][:32].decode() for row in connection.execute("SELECT line FROM analytics_journalreject")]
    return stored, refused
