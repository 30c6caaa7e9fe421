"""A PostgreSQL server as somebody else runs one: Debian's programs where there are any, on a TCP port of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import psycopg

from gateway_project.postgres_binaries import Binaries, identity, installations
from tests import databases
from tests.gateway import free_port


def _binaries() -> Binaries:
    """PostgreSQL 15 of the system, which is the oldest that the gateway supports; any other where it is missing."""
    found = installations("")
    return next((one for one in found if one.major == 15), found[-1])


class ExternalPostgres:
    """A server that the gateway did not start and cannot start again."""

    def __init__(self, *options: str) -> None:
        """Make the cluster; `options` are more settings (`name=value`)."""
        self.directory = Path(tempfile.mkdtemp(prefix="gwpg-"))
        self.cluster = self.directory / "cluster"
        self.log = self.directory / "log"
        self.port = free_port()
        self.binaries = _binaries()
        self.options = (f"unix_socket_directories={self.directory}", "listen_addresses=127.0.0.1", *options)
        self.cluster.mkdir(mode=0o700)
        self.identity = identity(self.cluster)
        if self.identity.owner is not None:
            shutil.chown(self.directory, self.identity.owner)
            shutil.chown(self.cluster, self.identity.owner)
        self._run("initdb", "-D", str(self.cluster), "--username=gateway", "--auth=trust", "--encoding=UTF8")
        self.process: subprocess.Popen[bytes] | None = None

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.identity.prefix, self.binaries.path(program), *arguments]
        subprocess.run(command, check=True, cwd="/", capture_output=True)

    @property
    def url(self) -> str:
        """The URL of its database for the gateway."""
        return f"postgresql://gateway@127.0.0.1:{self.port}/gateway"

    def start(self) -> Self:
        """Start it and return once it answers."""
        command = [*self.identity.prefix, self.binaries.path("postgres"), "-D", str(self.cluster), "-p", str(self.port)]
        command += [part for option in self.options for part in ("-c", option)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(databases.renamed(self.url, "postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, self.log.read_text()[-3000:]
                time.sleep(0.05)
            else:
                return self

    def create_database(self) -> Self:
        """Make the gateway's database."""
        databases.create(self.url, "gateway")
        return self

    def crash(self) -> None:
        """End it at once, without a checkpoint (SIGQUIT: what `pg_ctl stop -m immediate` does)."""
        self._end(signal.SIGQUIT)

    def _end(self, signum: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)
            self.process.wait(30)

    def close(self) -> None:
        """End it and remove its files."""
        self._end(signal.SIGINT)
        shutil.rmtree(self.directory, ignore_errors=True)
