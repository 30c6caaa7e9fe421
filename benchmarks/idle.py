"""What a stream costs that says nothing: the memory of the process between, over a thousand of them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import processes
from benchmarks.ways import Way

FLOOR_KIB = 24.0
# What the first few take is the allocator's and stays.
_WARM_UP = 20
_SETTLE_S = 1.0


def measure(ways: list[Way], count: int) -> dict[str, Any]:
    """Return the KiB a stream of each way that has a process; both sides of a stream are in it.

    A stream is a client's connection and an upstream's, open and silent after one event. What the system keeps for the
    sockets is not in it: it is the same for all ways.
    """
    each = {way.name: _kib_each(way, count) for way in ways if way.pid is not None and not way.slow}
    return {"streams": count, "kib_each": each, "ok": each["gateway"] <= FLOOR_KIB}


def _kib_each(way: Way, count: int) -> float:
    with _open(way, _WARM_UP):
        pass
    time.sleep(_SETTLE_S)
    before = _resident_kib(way)
    with _open(way, count):
        time.sleep(_SETTLE_S)
        after = _resident_kib(way)
    return (after - before) / count


@contextlib.contextmanager
def _open(way: Way, count: int) -> Iterator[None]:
    """Hold so many streams open. Raises RuntimeError when one does not begin."""
    parts = urlsplit(way.urls["events"])
    headers = {**way.headers, "Accept": "text/event-stream", "Host": parts.netloc}
    lines = [f"GET {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stream = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 80), timeout=10))
            stream.sendall(request)
            _await_event(way.name, stream)
        yield


def _await_event(name: str, stream: socket.socket) -> None:
    said = b""
    while b"data:" not in said:
        more = stream.recv(65536)
        said += more
        if not more or not said.startswith(b"HTTP/1.1 200 "[: len(said)]):
            raise RuntimeError(f"{name}: the stream begins with {said[:500]!r}")


def _resident_kib(way: Way) -> int:
    """Return the resident memory of the way's processes (proc(5): VmRSS in /proc/PID/status)."""
    assert way.pid is not None
    found = 0
    for pid in (way.pid, *processes.descendants(way.pid)):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        found += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return found
