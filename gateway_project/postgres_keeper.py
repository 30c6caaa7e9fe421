"""The process that keeps the embedded PostgreSQL running for as long as anybody uses it.

Run as `python -m gateway_project.postgres_keeper DATA_DIR SOCKET_DIR`. Users hold a shared lock; the kernel drops
the lock of a user that was killed, and this process stops the server once it can have the lock alone.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway_project import file_lock, postgres_cluster
from gateway_project.parent_death import die_with_parent
from gateway_project.postgres_binaries import PostgresError, find

KEEPER_LOCK = "postgres.keeper"
USERS_LOCK = "postgres.users"
LOG = "postgres.log"
ALREADY_KEPT = 3
_LOG_BYTES = 16 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _CALM_S = 0.1, 10.0, 30.0


class Keeper:
    """Starts the server, starts it again when it dies, stops it when nobody is left."""

    def __init__(self, data_dir: Path, sockets: Path) -> None:
        self.cluster = data_dir / "postgres"
        self.sockets = sockets
        self.users = data_dir / "run" / USERS_LOCK
        self.log = data_dir / "log" / LOG
        self.ending = False
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)

    def run(self) -> None:
        """Serve until the last user has gone or a signal asks to stop."""
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        threading.Thread(target=self._wait_for_the_last_user, daemon=True).start()
        pause = _FIRST_PAUSE_S
        while not self.ending:
            started = time.monotonic()
            end = self._serve_once()
            if self.ending:
                return
            pause = _FIRST_PAUSE_S if time.monotonic() - started > _CALM_S else min(pause * 2, _LONGEST_PAUSE_S)
            self._say(f"{end} It is started again in {pause:.1f} s.")
            deadline = time.monotonic() + pause
            while not self.ending and (left := deadline - time.monotonic()) > 0:
                self._sleep(left)

    def _serve_once(self) -> str:
        """Run the server until it ends or we do; return why it ended."""
        try:
            server = self._start()
        except (PostgresError, OSError) as error:
            return str(error)
        while server.poll() is None and not self.ending:
            self._sleep(60.0)
            self._trim_log()
        if self.ending:
            self._stop(server)
        return f"PostgreSQL ended with {server.returncode}."

    def _start(self) -> subprocess.Popen[bytes]:
        postgres_cluster.clear_remains(self.cluster, self.sockets)
        binaries = find(int((self.cluster / "PG_VERSION").read_text()))
        arguments = postgres_cluster.command(self.cluster, self.sockets, binaries, postgres_cluster.own(self.cluster))
        # A signal to our process group (Ctrl-C) must not reach the server: it stops last. Should we be killed,
        # SIGINT makes it a clean shutdown.
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            env=postgres_cluster.environment(),
            cwd="/",
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509
        )

    @staticmethod
    def _stop(server: subprocess.Popen[bytes]) -> None:
        """End the server: SIGINT closes its connections cleanly, SIGQUIT leaves the rest to recovery."""
        for signum, patience_s in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            server.send_signal(signum)
            try:
                server.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
            return

    def _wait_for_the_last_user(self) -> None:
        # Kept until this process ends: a newcomer waits for it and then starts a server of its own.
        file_lock.take(self.users)
        self._end()

    def _end(self, *_: object) -> None:
        self.ending = True
        os.write(self.wake_write, b"\0")

    def _sleep(self, seconds: float) -> None:
        """Wait for that long, or for a child's end, a signal, or the last user's leaving."""
        select.select([self.wake_read], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self.wake_read, 4096)

    def _trim_log(self) -> None:
        """Keep at most two files of 16 MiB; the server appends, so it goes on writing at the new start."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_name(LOG + ".1"))
            os.truncate(self.log, 0)

    @staticmethod
    def _say(message: str) -> None:
        print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} keeper: {message}", file=sys.stderr, flush=True)


def main() -> int:
    """Take the keeper's lock and keep the server; exit code 3 when somebody else keeps it already."""
    data_dir, sockets = Path(sys.argv[1]), Path(sys.argv[2])
    for _ in range(10):  # somebody who only asks whether the lock is held holds it for an instant
        if file_lock.try_take(data_dir / "run" / KEEPER_LOCK) is not None:
            Keeper(data_dir, sockets).run()
            return 0
        time.sleep(0.01)
    return ALREADY_KEPT


if __name__ == "__main__":
    sys.exit(main())
