"""The worker's own work for a call, in this process: the real application between transports that are memory.

Router, protocol, data plane, upstream client, journal and access log are those of a worker; sockets, system calls and
the event loop's polling are left out, so that what is left can be counted exactly.
"""

# ruff: noqa: E402 - Django must be set up before models are imported

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
import django

import tests.settings  # noqa: F401 - a data directory of its own, and secrets

django.setup()

from django.conf import settings
from uvicorn.server import ServerState

from benchmarks.loads import VERSION
from benchmarks.rig import ANSWER, BODY, KEY
from gateway_project.server.worker import make_config
from keys import secrets
from namespaces.rules import NameRule, RuleSet
from proxy.access_log import AccessLog
from proxy.breaker import Breaking
from proxy.entries import Cap, Deadlines, KeyEntry, NamespaceEntry, UpstreamEntry
from proxy.limits.rules import Terms
from proxy.policy import Catalogue
from proxy.runtime import runtime
from proxy.snapshot import Snapshot
from proxy.upstream import UpstreamClient
from proxy.upstream_connection import UpstreamConnection

_TEXT = json.dumps(ANSWER).encode()
_REQUEST = (
    "POST /mcp/bench HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer {KEY}\r\nAccept: application/json, text/event-stream\r\n"
    f"MCP-Protocol-Version: {VERSION}\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode() + BODY
_ANSWER = (
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 28 Nov 2026 12:00:00 GMT\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(_TEXT)}\r\nConnection: keep-alive\r\n\r\n"
).encode() + _TEXT


def snapshot() -> Snapshot:
    """Return what `benchmarks.rig` configures: listed tools, and a key with a limit that refuses nothing."""
    none = NameRule.build("none", (), ())
    rules = RuleSet(NameRule.build("listed", ["add", "echo", "get_*", "stream"], ["hang"]), none, none)
    upstream = UpstreamEntry(
        id=1,
        slug="bench",
        url="http://127.0.0.1:9/mcp",
        era="legacy",
        deadlines=Deadlines(5, 60, 120, 600),
        max_response_bytes=settings.MAX_RESPONSE_BYTES,
        credentials=(),
        catalogue=Catalogue.build({"tool": {"echo": {"name": "echo"}}}),
        identity=(1,),
        cap=Cap(2, settings.UPSTREAM_CONCURRENCY, settings.QUEUE_LENGTH, settings.QUEUE_WAIT_S, "upstream"),
        breaking=Breaking(settings.BREAKER_THRESHOLD, settings.BREAKER_RECOVERY_S, settings.BREAKER_PROBES),
        max_retries=settings.MAX_RETRIES,
    )
    namespace = NamespaceEntry(1, "bench", rules, upstream)
    key = KeyEntry(1, "bench", False, None, Terms(10_000_000, 1_000_000, 60, False))
    found = {secrets.digest(KEY, settings.KEY_PEPPERS[0]): (key, None)}
    return Snapshot(1, {"bench": namespace}, {1: upstream}, {1: key}, found, {}, {(1, 1): (RuleSet(), 1, None)})


class _Transport:
    """What both sides ask of a transport that never fills."""

    def __init__(self) -> None:
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 8080)}.get(name, default)

    def close(self) -> None:
        self.closing = True

    abort = close


class _ClientSide(_Transport):
    """A client that asks again once it has its answer."""

    def __init__(self, loop: Calls) -> None:
        super().__init__()
        self.loop = loop
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 200 OK\r\n") and data.endswith(_TEXT), data
        self.loop.answered += 1
        self.loop.idle.append(self)

    def ask(self) -> None:
        self.protocol.get_buffer(65536)[: len(_REQUEST)] = _REQUEST
        self.protocol.buffer_updated(len(_REQUEST))


class _UpstreamSide(_Transport):
    """An upstream that answers whatever comes."""

    def __init__(self, loop: Calls, connection: UpstreamConnection) -> None:
        super().__init__()
        self.loop = loop
        self.connection = connection

    def write(self, data: bytes) -> None:
        self.loop.asked.append(self.connection)


class Calls:
    """A closed loop of calls over some connections."""

    def __init__(self) -> None:
        self.answered = 0
        self.idle: list[_ClientSide] = []
        self.asked: list[UpstreamConnection] = []

    async def run(self, count: int) -> int:
        """Make at least `count` calls; return how many they were."""
        begun = self.answered
        while self.answered - begun < count:
            idle, self.idle = self.idle, []
            for client in idle:
                client.ask()
            asked, self.asked = self.asked, []
            for connection in asked:
                connection.data_received(_ANSWER)
            await asyncio.sleep(0)
        return self.answered - begun


@contextlib.contextmanager
def calls(connections: int) -> Iterator[Calls]:
    """Make the data plane of this process ready and yield the closed loop; needs a running event loop of uvloop's."""
    loop, made = asyncio.get_running_loop(), Calls()
    settings.RUN_DIR.mkdir(parents=True, exist_ok=True)
    os.environ["GATEWAY_RATELIMIT_FILE"] = str(settings.RUN_DIR / "ratelimit")
    runtime._build()  # what `start` does, without waiting for a database
    for task in runtime._tasks:
        task.cancel()
    runtime.started = True
    log = os.open(Path(settings.RUN_DIR, "access.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    runtime.access_log = AccessLog(loop.call_later, plain=False, descriptor=log)
    runtime.watcher.confirmed_at = float("inf")
    runtime._swap(snapshot())
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)

    async def connect(self: UpstreamClient) -> UpstreamConnection:
        connection = UpstreamConnection(loop)
        connection.connection_made(_UpstreamSide(made, connection))  # type: ignore[arg-type]
        return connection

    config = make_config("gateway_project.asgi:application")
    config.load()
    state = ServerState()
    made_by, UpstreamClient._connect = UpstreamClient._connect, connect  # type: ignore[method-assign]
    try:
        for _ in range(connections):
            client = _ClientSide(made)
            client.protocol = config.http_protocol_class(config=config, server_state=state, app_state={}, _loop=loop)
            client.protocol.connection_made(client)
            made.idle.append(client)
        yield made
    finally:
        UpstreamClient._connect = made_by  # type: ignore[method-assign]
        os.close(log)
