"""One listening socket and the line `READY http://127.0.0.1:PORT/PATH` that every upstream prints once it serves."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

ROOT = Path(__file__).resolve().parents[2]


def bind(port: int) -> socket.socket:
    """A loopback socket on `port` (0: the system chooses), reusable at once after a restart."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def announce(listener: socket.socket, path: str) -> None:
    """Tell the parent that calls are served, and where."""
    print(f"READY http://127.0.0.1:{listener.getsockname()[1]}{path}", flush=True)


def serve_asgi(app: Callable[..., Any], port: int, path: str, **options: Any) -> None:
    """Run an ASGI application under uvicorn until SIGTERM; `options` go to uvicorn.Config."""
    listener = bind(port)

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                announce(listener, path)

    settings: dict[str, Any] = {
        "log_level": "warning",
        "http": "h11",
        "access_log": False,
        "timeout_graceful_shutdown": 1,
        "ws": "none",
    } | options
    Announcing(uvicorn.Config(app, **settings)).run(sockets=[listener])


@contextlib.contextmanager
def started(module: str, *arguments: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """Run `python -m module --port 0 arguments…` as a child and yield the URL that it announces.

    Raises:
        RuntimeError: the child ended before its READY line; what it wrote to stderr went to ours.
    """
    command = [sys.executable, "-m", module, "--port", "0", *arguments]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    try:
        assert child.stdout is not None
        line = child.stdout.readline().split()
        if len(line) != 2 or line[0] != "READY":
            raise RuntimeError(f"{module} printed {line!r} instead of READY and a URL; see its stderr above")
        yield line[1]
    finally:
        child.terminate()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
