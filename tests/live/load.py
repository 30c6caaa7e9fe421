"""Rows by the thousand: lines in the gateway's own journal directory, as another worker would write them."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from analytics.journal import Journal
from analytics.lines import LineFormatter
from analytics.record import RequestRecord
from tests.gateway import Gateway


class Generator:
    """Writes `per_second` rows until it is left (`with`)."""

    def __init__(self, gateway: Gateway, per_second: int) -> None:
        self.journal = Journal(gateway.data_dir / "journal")
        self.per_second = per_second
        self.written = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Generator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self.journal.end_file()

    def _run(self) -> None:
        make, begun = LineFormatter().format, time.monotonic()
        while not self._ends.wait(0.02):
            due = int((time.monotonic() - begun) * self.per_second) - self.written
            block = b"".join(make(self._record()) for _ in range(due))
            if block:
                self.journal.append(block)
                self.written += due

    def _record(self) -> RequestRecord:
        return RequestRecord(
            id=os.urandom(16).hex(),
            at=time.time(),
            namespace="first",
            upstream="light",
            user_id="generator",
            method="tools/call",
            tool="a tool with a name of usual length",
            http_status=200,
            total_us=1500,
            request_bytes=400,
            response_bytes=4000,
            client_address="192.0.2.1",
        )


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has (RSS)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_deaf(gateway: Gateway, session: str) -> socket.socket:
    """Open a live view on a small window and never read from it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", gateway.port))
    lines = [
        "GET /ws/live HTTP/1.1",
        f"Host: 127.0.0.1:{gateway.port}",
        f"Origin: {gateway.base}",
        f"Cookie: gateway_session={session}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    client.sendall("\r\n".join([*lines, "", ""]).encode())
    return client
