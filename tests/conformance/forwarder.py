"""A TCP forwarder that adds one header to every HTTP request and passes everything else on byte for byte.

The conformance suite cannot send a key; this stands between it and the gateway. Host and Origin stay as the suite sent
them, nothing is buffered, and either side's leaving is passed on to the other at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Coroutine
from typing import Any

LIMIT = 1 << 20  # bytes of a request head
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)


async def _requests(source: asyncio.StreamReader, target: asyncio.StreamWriter, header: bytes) -> None:
    """Pass requests on; the header goes in behind each request line."""
    while True:
        head = await source.readuntil(b"\r\n\r\n")
        line, rest = head.split(b"\r\n", 1)
        target.write(line + b"\r\n" + header + b"\r\n" + rest)
        if CHUNKED.search(head):
            await _chunks(source, target)
        elif found := LENGTH.search(head):
            await _exactly(source, target, int(found[1]))
        await target.drain()


async def _exactly(source: asyncio.StreamReader, target: asyncio.StreamWriter, size: int) -> None:
    while size:
        data = await source.read(min(size, 1 << 16))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        target.write(data)
        await target.drain()
        size -= len(data)


async def _chunks(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while True:
        line = await source.readuntil(b"\r\n")
        target.write(line)
        size = int(line.split(b";")[0], 16)
        await _exactly(source, target, size + 2)
        if size == 0:
            return


async def _answers(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass answers on as they come."""
    while data := await source.read(1 << 16):
        target.write(data)
        await target.drain()


class Forwarder:
    """Listens on loopback and forwards to one address."""

    def __init__(self, host: str, port: int, header: str) -> None:
        self.host, self.port = host, port
        self.header = header.encode("latin-1")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            to_reader, to_writer = await asyncio.open_connection(self.host, self.port, limit=LIMIT)
            try:
                await self._until_one_leaves(_requests(reader, to_writer, self.header), _answers(to_reader, writer))
            finally:
                to_writer.close()
        writer.close()

    async def _until_one_leaves(self, *ways: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Serve on a port that the system chooses, and yield it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LIMIT)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
