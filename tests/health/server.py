"""An upstream on a port that it keeps, which a test stops, starts again, or makes hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.gateway import free_port

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """`python -m module --port N arguments…`; it runs from the beginning."""

    def __init__(self, *command: str) -> None:
        self.command = command
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Its MCP endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Start it and return once it serves."""
        command = [sys.executable, "-m", self.command[0], "--port", str(self.port), *self.command[1:]]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("READY")

    def stop(self) -> None:
        """Kill it: connections break, and its sessions are forgotten."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    def restart(self) -> None:
        """Kill it and start it anew."""
        self.stop()
        self.start()

    def hang(self) -> None:
        """Let it accept connections and answer nothing."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)
