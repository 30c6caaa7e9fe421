"""One child process of `serve`: started so that it dies with us, started again with back-off when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateway_project.parent_death import die_with_parent

FIRST_PAUSE_S, LONGEST_PAUSE_S, CALM_S = 0.1, 10.0, 30.0
START_S = 60.0  # after this long a process that never said it serves counts as hung
HEARTBEAT_FD = "GATEWAY_HEARTBEAT_FD"
GATE_FD = "GATEWAY_GATE_FD"
READY = b"R"
_CODE = Path(__file__).resolve().parent.parent.parent


class Gate:
    """A pipe at which children wait until the parent closes its end."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self.is_closed = True

    def open(self) -> None:
        """Let everybody through, now and later."""
        if self.is_closed:
            self.is_closed = False
            os.close(self._write_end)
            os.close(self.read_end)


class Child:
    """A command that is kept running until it is stopped.

    `waits_for_ready`: it is not needed to serve and starts when those that serve are ready. `gate`: it may be
    started before the database is there; it loads its code meanwhile and waits at the gate.
    With `hang_timeout_s` it gets a pipe to write a byte to now and then (READY once it serves); when the pipe
    stays silent for that long, it counts as hung. `holds_sigterm`: a SIGTERM that comes while the process loads its
    code waits until it is unblocked there; for a process whose last work must not be skipped.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        hang_timeout_s: float | None = None,
        gate: Gate | None = None,
        waits_for_ready: bool = False,
        holds_sigterm: bool = False,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.env = env or {}
        self.pass_fds = tuple(pass_fds)
        self.hang_timeout_s = hang_timeout_s
        self.gate = gate
        self.waits_for_ready = waits_for_ready
        self.holds_sigterm = holds_sigterm
        self.running: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.renewing = False  # told to end so that a new process takes its place
        self.heartbeat_fd: int | None = None
        self.last_beat = 0.0
        self.started = 0.0
        self.pause_s = FIRST_PAUSE_S
        self.start_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.running.pid if self.running else None

    def start(self) -> None:
        """Start the process; call it in the main thread (see die_with_parent)."""
        env = os.environ | self.env
        fds = self.pass_fds
        write_end: int | None = None
        if self.gate is not None and self.gate.is_closed:
            env[GATE_FD] = str(self.gate.read_end)
            fds = (*fds, self.gate.read_end)
        if self.hang_timeout_s is not None:
            self.heartbeat_fd, write_end = os.pipe()
            os.set_blocking(self.heartbeat_fd, False)
            env[HEARTBEAT_FD] = str(write_end)
            fds = (*fds, write_end)
        self.running = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            env=env,
            cwd=_CODE,
            pass_fds=fds,
            # Ctrl-C in a terminal goes to the whole process group; the parent alone decides who stops when.
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM, held_back=self.holds_sigterm),  # noqa: PLW1509
        )
        if write_end is not None:
            os.close(write_end)
        self.started = self.last_beat = time.monotonic()
        self.ready = self.hang_timeout_s is None

    def listen(self) -> bool:
        """Read what the process wrote to its heartbeat pipe; return whether it became ready by that."""
        was_ready = self.ready
        if self.heartbeat_fd is not None:
            with suppress(BlockingIOError):
                while beats := os.read(self.heartbeat_fd, 4096):
                    self.last_beat = time.monotonic()
                    self.ready = self.ready or READY in beats
        return self.ready and not was_ready

    def is_hung(self) -> bool:
        """Return whether the process has been silent for too long; getting ready may take longer."""
        if self.hang_timeout_s is None or self.running is None:
            return False
        allowed_s = self.hang_timeout_s if self.ready else max(self.hang_timeout_s, START_S)
        return time.monotonic() - self.last_beat > allowed_s

    def reap(self) -> int | None:
        """Return the exit code of a process that has ended, once; None while it runs or was not started."""
        if self.running is None or (code := self.running.poll()) is None:
            return None
        self.running = None
        self.ready = False
        if self.heartbeat_fd is not None:
            os.close(self.heartbeat_fd)
            self.heartbeat_fd = None
        return code

    def plan_restart(self) -> float:
        """Decide when to start again: soon at first, each time later while it keeps dying. Returns the pause, s."""
        now = time.monotonic()
        if now - self.started > CALM_S:
            self.pause_s = FIRST_PAUSE_S
        pause = self.pause_s
        self.pause_s = min(pause * 2, LONGEST_PAUSE_S)
        self.start_at = now + pause
        return pause

    def renew(self) -> None:
        """Ask the process to end; another one is started at once when it has. One that is starting is new already."""
        if self.running is not None and self.ready:
            self.renewing = True
            self.signal(signal.SIGTERM)

    def plan_renewal(self) -> None:
        """Have the process started again at once: it ended because it was asked to."""
        self.renewing = False
        self.start_at = time.monotonic()

    def is_due(self) -> bool:
        """Return whether the time to start the process has come."""
        return self.running is None and time.monotonic() >= self.start_at

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the process if it runs."""
        if self.running is not None:
            self.running.send_signal(signum)


def describe_end(code: int) -> str:
    """Return how a process ended, for people."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
