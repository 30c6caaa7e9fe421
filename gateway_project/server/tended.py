"""What every server process under `serve` does: beats for its parent, waits at its gate, and ends with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from contextlib import suppress

import uvicorn

from gateway_project.server.child import GATE_FD, HEARTBEAT_FD, READY

_BEAT_S = 1.0
_ORPHAN_CHECK_S = 1.0


class TendedServer(uvicorn.Server):
    """uvicorn's server with a heartbeat to the parent."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run until a signal."""
        heartbeat = asyncio.create_task(self._beat())
        try:
            await super().serve(sockets)
        finally:
            heartbeat.cancel()

    async def _beat(self) -> None:
        """Tell the parent that the event loop turns: READY once it serves, then a byte each second."""
        descriptor = int(os.environ.get(HEARTBEAT_FD, "-1"))
        if descriptor < 0:
            return
        os.set_blocking(descriptor, False)
        while not self.started:  # noqa: ASYNC110 - uvicorn has a flag, no event
            await asyncio.sleep(0.005)
        beat = READY
        while True:
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(descriptor, beat)
            beat = b"."
            await asyncio.sleep(_BEAT_S)


def wait_at_gate() -> None:
    """Return when the parent has opened the gate (the database is ready), at once where there is none."""
    if gate := os.environ.pop(GATE_FD, ""):
        os.read(int(gate), 1)
        os.close(int(gate))


def leave_when_orphaned(within_s: float) -> None:
    """End this process once its parent is dead, also where its event loop hangs or the kernel knows no death signal.

    Args: within_s: how long it may take to end by itself.
    """
    threading.Thread(target=_watch_parent, args=[os.getppid(), within_s], daemon=True).start()


def _watch_parent(parent: int, within_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(within_s)
    os._exit(1)
