"""A raw server that plays a script a connection, so that tests of the upstream client decide bytes and timing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from proxy.entries import Deadlines, UpstreamEntry
from proxy.policy import Catalogue
from proxy.upstream import UpstreamClient
from tests.proxy.answers import answer

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}
TEST_LIMIT_S = 30.0


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    async def request(self) -> bytes | None:
        """Read one whole request and return it; None when the client closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            body = await self.reader.readexactly(int(length[1])) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.server.requests.append(head + body)
        return head + body

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client does not take it. Raises ConnectionError when the client left."""
        if self.writer.is_closing():  # uvloop raises RuntimeError for it
            raise ConnectionResetError("the client left")
        self.writer.write(data)
        await self.writer.drain()

    async def closed_by_client(self) -> float:
        """Wait until the client closes; return the loop's time."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return asyncio.get_running_loop().time()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """Listens on loopback while entered; `requests` holds what came, `connections` how many there were."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script, self._tls = script, tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: list[UpstreamClient] = []

    async def __aenter__(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not self.failures, self.failures

    def client(self, host: str = "127.0.0.1", connect_s: float = 5.0) -> UpstreamClient:
        """Return a client of this server, reached under the name `host`."""
        scheme = "https" if self._tls else "http"
        client = UpstreamClient(entry(f"{scheme}://{host}:{self.port}/mcp", connect_s))
        self._clients.append(client)
        return client

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.script(Peer(self, reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:  # told at the end: a script that fails must not look like an upstream
            self.failures.append(error)
        finally:
            self._tasks.discard(task)
            writer.close()


def entry(url: str, connect_s: float = 5.0) -> UpstreamEntry:
    """Return an upstream as the snapshot would hold it."""
    credentials = (("Authorization", "Bearer upstream-credential"),)
    return UpstreamEntry(
        *(1, "scripted", url, "", Deadlines(connect_s, 60, 120, 600)),
        *(32 << 20, credentials, Catalogue(), (url,)),
    )


def echoing(first: bytes, then: Callable[[Peer], Awaitable[None]] | None = None) -> Script:
    """Return a script whose very first request gets `first` (and what `then` does); each other its own body."""

    async def script(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            if len(peer.server.requests) > 1:
                await peer.send(answer(request.partition(b"\r\n\r\n")[2]))
                continue
            await peer.send(first)
            if then is not None:
                await then(peer)

    return script


async def call(client: UpstreamClient, body: bytes = b"{}", cap: int = 1 << 20) -> tuple[int, bytes]:
    """Make one call; return status and body."""
    reply = await client.send("POST", {}, body)
    try:
        return reply.status, await reply.read(cap)
    finally:
        reply.close()


def open_files() -> int:
    """Return how many file descriptors this process holds."""
    return len(os.listdir("/proc/self/fd"))


def run(loop: str, work: Coroutine[Any, Any, None]) -> None:
    """Run a test on a loop of its own, and fail it for what the loop had to complain of."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        runner.run(asyncio.wait_for(work, TEST_LIMIT_S))
    assert not complaints, complaints


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test twice: on asyncio's own loop and on uvloop."""

    @functools.wraps(test)
    def running(loop: str, **arguments: Any) -> None:
        run(loop, test(**arguments))

    own = inspect.signature(test)
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    running.__signature__ = own.replace(parameters=[*own.parameters.values(), loop])  # type: ignore[attr-defined]
    return pytest.mark.parametrize("loop", LOOPS)(running)
