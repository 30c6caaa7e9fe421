"""The parent's loop: keeps every child running, notices the hung ones, and stops all in the right order."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gateway_project import postgres
from gateway_project.postgres_binaries import PostgresError
from gateway_project.server.child import Child, describe_end
from gateway_project.server.rolling_restart import RollingRestart, has_terminal

logger = logging.getLogger("gateway.serve")
STATE_FILE = "serve.json"
_POSTGRES_CHECK_S = 0.5


class Supervisor:
    """Runs children until SIGTERM or SIGINT; a second one stops at once. SIGHUP renews the workers.

    A SIGHUP that says that the terminal is gone stops as well: whoever started us there expects it.

    `stages` are groups of children in the order in which they stop: each group gets SIGTERM and `patience_s`
    before the next one, then SIGKILL.
    """

    def __init__(
        self,
        stages: list[list[Child]],
        *,
        run_dir: Path,
        port: int,
        patience_s: float,
        embedded_data_dir: Path | None = None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.stages = stages
        self.children = [child for stage in stages for child in stage]
        self.run_dir = run_dir
        self.port = port
        self.patience_s = patience_s
        self.embedded_data_dir = embedded_data_dir
        self.on_stop = on_stop
        self.stop_signals = 0
        self.announced = False
        self.rolling = RollingRestart([child for child in self.children if child.hang_timeout_s], patience_s)
        self.had_terminal = has_terminal()
        self.ignores_hang_up = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # as under nohup
        self.wake_read, self.wake_write = os.pipe()
        for descriptor in (self.wake_read, self.wake_write):
            os.set_blocking(descriptor, False)

    def start_waiting(self) -> None:
        """Start the children that have a gate; call `kill` should `run` never be reached."""
        for child in self.children:
            if child.gate is not None:
                child.start()

    def kill(self) -> None:
        """Kill every child that runs."""
        for child in self.children:
            child.signal(signal.SIGKILL)

    def run(self, when_ready: Callable[[], None]) -> None:
        """Start the children, call `when_ready` once all serve, and return after all have stopped."""
        self._take_signals()
        for child in self.children:
            child.last_beat = time.monotonic()  # what waited for the database begins only now
        if self.embedded_data_dir is not None:
            threading.Thread(target=self._watch_postgres, args=[self.embedded_data_dir], daemon=True).start()
        while not self.stop_signals:
            self._tend()
            if not self.announced and all(child.ready or child.waits_for_ready for child in self.children):
                self.announced = True
                when_ready()
                continue  # the late ones start now
            self._sleep()
        self._stop()

    def _take_signals(self) -> None:
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for signum in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._count_signal)
        signal.signal(signal.SIGHUP, self._hang_up)

    def _count_signal(self, *_: object) -> None:
        self.stop_signals += 1

    def _hang_up(self, *_: object) -> None:
        if not self.had_terminal or has_terminal():
            self.rolling.ask()
        elif not self.ignores_hang_up:
            self.stop_signals += 1

    def _tend(self) -> None:
        """One round: read heartbeats, reap the dead, kill the hung, start what is due."""
        changed = False
        for child in self.children:
            changed |= child.listen()
            if child.is_hung():
                logger.error("%s is hung; it is killed and started again", child.name, extra={"pid": child.pid})
                child.signal(signal.SIGKILL)
            if (code := child.reap()) is not None:
                self._plan(child, code)
                changed = True
            if child.is_due() and (self.announced or not child.waits_for_ready):
                child.start()
                changed = True
        if self.announced:
            self.rolling.step()
        if changed:
            self._write_state()

    @staticmethod
    def _plan(child: Child, code: int) -> None:
        """Decide when a child that has ended is started again: at once where that was asked for."""
        if child.renewing:
            child.plan_renewal()
            logger.log(
                logging.WARNING if code else logging.INFO, "%s %s and is renewed", child.name, describe_end(code)
            )
            return
        pause = child.plan_restart()
        logger.error("%s %s; it is started again in %.1f s", child.name, describe_end(code), pause)

    def _sleep(self, longest_s: float = 1.0) -> None:
        """Wait for a signal, a child's end, a heartbeat, or the next start that is due."""
        now = time.monotonic()
        due = [child.start_at - now for child in self.children if child.running is None and child.start_at]
        beats = [child.heartbeat_fd for child in self.children if child.heartbeat_fd is not None]
        select.select([self.wake_read, *beats], [], [], max(0.0, min([longest_s, *due])))
        with suppress(BlockingIOError):
            os.read(self.wake_read, 4096)

    def _stop(self) -> None:
        logger.info("stopping: open calls finish first, at most %.0f s; a second Ctrl-C stops at once", self.patience_s)
        self.on_stop()
        for stage in self.stages:
            for child in stage:
                child.signal(signal.SIGTERM)
            deadline = time.monotonic() + self.patience_s
            while self._reap_stopped(stage):
                if self.stop_signals > 1 or time.monotonic() > deadline:
                    for child in stage:
                        child.signal(signal.SIGKILL)
                self._sleep_while_stopping()
        (self.run_dir / STATE_FILE).unlink(missing_ok=True)

    @staticmethod
    def _reap_stopped(stage: list[Child]) -> bool:
        """Return whether some of the stage still run."""
        for child in stage:
            child.listen()
            code = child.reap()
            if code not in (None, 0, -signal.SIGTERM):
                logger.warning("%s %s", child.name, describe_end(code))
        return any(child.running is not None for child in stage)

    def _sleep_while_stopping(self) -> None:
        select.select([self.wake_read], [], [], 0.1)
        with suppress(BlockingIOError):
            os.read(self.wake_read, 4096)

    def _write_state(self) -> None:
        """Leave the ids of all processes where an operator, or a test, finds them."""
        state = {
            "pid": os.getpid(),
            "port": self.port,
            "ready": self.announced,
            "children": {child.name: child.pid for child in self.children},
            "serving": {child.name: child.ready for child in self.children},
        }
        draft = self.run_dir / f"{STATE_FILE}.new"
        draft.write_text(json.dumps(state, indent=2) + "\n")
        draft.replace(self.run_dir / STATE_FILE)

    def _watch_postgres(self, data_dir: Path) -> None:
        """Start a new keeper of the embedded server when the old one was killed (the keeper minds the server)."""
        pause = _POSTGRES_CHECK_S
        while not self.stop_signals:
            time.sleep(pause)
            pause = _POSTGRES_CHECK_S
            if self.stop_signals or postgres.is_kept(data_dir):
                continue
            logger.error("the keeper of PostgreSQL is gone; it is started again")
            try:
                postgres.ensure(data_dir)
            except (PostgresError, OSError) as error:
                logger.error("PostgreSQL cannot be started again: %s", error)
                pause = 10.0
