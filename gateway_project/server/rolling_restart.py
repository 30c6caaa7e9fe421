"""SIGHUP: the workers are renewed one after the other, so that calls are served all the while."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence

from gateway_project.server.child import Child

logger = logging.getLogger("gateway.serve")


def has_terminal() -> bool:
    """Return whether this process can be reached from a terminal; after a hang-up it cannot."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class RollingRestart:
    """Ends one worker at a time, gently, and goes on once its successor serves.

    `patience_s`: how long a worker may take to finish its calls before it is killed.
    """

    def __init__(self, workers: Sequence[Child], patience_s: float) -> None:
        self._workers = workers
        self._patience_s = patience_s
        self._asked = False
        self._due: list[Child] = []
        self._current: Child | None = None
        self._give_up = 0.0

    def ask(self) -> None:
        """Renew all workers, beginning at the next step; safe in a signal handler."""
        self._asked = True

    def step(self) -> None:
        """Take the next step if its time has come."""
        if self._asked:
            self._asked = False
            self._due = list(self._workers)
            logger.info("the workers are renewed, one after the other")
        if self._current is not None:
            if self._current.renewing and time.monotonic() > self._give_up:
                self._current.signal(signal.SIGKILL)
            if self._current.renewing or not self._current.ready:
                return
            self._current = None
            if not self._due:
                logger.info("the workers have been renewed")
        if self._due:
            self._current = self._due.pop(0)
            self._give_up = time.monotonic() + self._patience_s
            self._current.renew()
