"""Which worker a connection ended up at, so that a test can ask every one of them."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from tests.gateway import Gateway
from tests.reliability.client import Connection


def _inode_of(gateway_port: int, client_port: int) -> str | None:
    """The inode of the gateway's end of a connection (proc(5): /proc/net/tcp)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if (local, remote) == (gateway_port, client_port):
            return fields[9]
    return None


def worker_of(gateway: Gateway, connection: Connection) -> int | None:
    """The process id of the worker that accepted the connection; None when none has yet."""
    inode = _inode_of(gateway.port, connection.local_port)
    for pid in gateway.worker_pids():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) == f"socket:[{inode}]":
                    return pid
    return None


async def one_connection_each(gateway: Gateway) -> dict[int, Connection]:
    """Open connections until every worker has accepted one; return one of each, by process id."""
    found: dict[int, Connection] = {}
    for _ in range(50):
        batch = await asyncio.gather(*(Connection.open(gateway.port) for _ in range(16)))
        # A request each, so that all are accepted, and by whoever is free.
        await asyncio.gather(*(connection.call("GET", "/live", {}) for connection in batch))
        for connection in batch:
            pid = await asyncio.to_thread(worker_of, gateway, connection)
            if pid is None or pid in found:
                connection.close()
            else:
                found[pid] = connection
        if len(found) == gateway.workers:
            return found
    raise AssertionError(f"connections reached only the workers {sorted(found)} of {gateway.worker_pids()}")
