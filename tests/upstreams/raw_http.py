"""HTTP/1.1 by hand on asyncio, so that an upstream can lie at the byte level and see at once when its client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

HIGH_WATER = 256 * 1024  # bytes written but not taken by the client before send() waits


@dataclass(frozen=True)
class RawRequest:
    """One request as it arrived; header names keep their case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's fields, the last of each name."""
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.target).query).items()}

    @cached_property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message of the body; empty when it holds none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def header(self, name: str) -> str:
        """The first value of a header, empty when absent."""
        return next((value for key, value in self.headers if key.lower() == name), "")


class RawConnection(asyncio.Protocol):
    """One client connection: requests in order, each given to `play`, which is cancelled when the client leaves."""

    def __init__(self, play: Callable[[RawConnection, RawRequest], Awaitable[None]]) -> None:
        self._play = play
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.gone = asyncio.Event()
        self.keep_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._news.set()

    def eof_received(self) -> bool:
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _leave(self) -> None:
        for event in (self.gone, self._news, self._writable):
            event.set()

    async def send(self, data: bytes) -> None:
        """Write and wait until the client takes it.

        Raises:
            ConnectionResetError: the client left.
        """
        if self.gone.is_set():
            raise ConnectionResetError("the client left")
        self.transport.write(data)
        await asyncio.sleep(0)  # a wait on a set event does not yield, and the loop must see that a client left
        await self._writable.wait()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def _serve(self) -> None:
        try:
            while self.keep_alive and (request := await self._read_request()) is not None:
                await self._play_until_gone(request)
        finally:
            self.transport.close()

    async def _play_until_gone(self, request: RawRequest) -> None:
        playing = asyncio.ensure_future(self._play(self, request))
        leaving = asyncio.ensure_future(self.gone.wait())
        await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (playing, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await task

    async def _more(self) -> bool:
        """Wait for more bytes; False once the client left."""
        self._news.clear()
        if not self.gone.is_set():
            await self._news.wait()
        return not self.gone.is_set()

    async def _read_request(self) -> RawRequest | None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not await self._more():
                return None
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        method, target, _ = [*lines[0].split(" "), "", ""][:3]
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        request = RawRequest(method, target, headers, b"")
        if "chunked" in request.header("transfer-encoding").lower():
            body = await self._read_chunked()
        else:
            body = await self._take(int(request.header("content-length") or 0))
        return None if body is None else RawRequest(method, target, headers, body)

    async def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not await self._more():
                return None
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _read_chunked(self) -> bytes | None:
        body = bytearray()
        while True:
            while (end := self._buffer.find(b"\r\n")) < 0:
                if not await self._more():
                    return None
            size = int(self._buffer[:end].split(b";")[0], 16)
            del self._buffer[: end + 2]
            data = await self._take(size + 2)
            if data is None or size == 0:
                return None if data is None else bytes(body)
            body += data[:size]
