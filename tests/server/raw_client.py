"""A client that sends exactly the bytes it is told and reads what comes back."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """One answer as it came: status (0 when nothing came), head and body as bytes, and whether the peer closed."""

    status: int
    head: bytes
    body: bytes
    closed: bool


class RawClient:
    """One connection to 127.0.0.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> RawClient:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        """Send bytes; a connection that the peer has closed is no error."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            pass

    async def answer(self, within_s: float = 5) -> Reply:
        """Read one answer with Content-Length, chunks or until the end."""
        async with asyncio.timeout(within_s):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length:
                    body = await self.reader.readexactly(int(length[1]))
                elif b"chunked" in head.lower():
                    body = await self.reader.readuntil(b"0\r\n\r\n")
                else:
                    body = await self.reader.read()
            except asyncio.IncompleteReadError as error:
                return Reply(0, error.partial, b"", True)
            except ConnectionError:
                return Reply(0, b"", b"", True)
        return Reply(int(head.split()[1]), head, body, b"connection: close" in head.lower())

    async def ends(self, within_s: float = 5) -> bool:
        """Wait for the peer to close; False when it stays open that long."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        """Leave."""
        self.writer.close()

    def reset(self) -> None:
        """Leave without a word (RST)."""
        self.writer.transport.abort()


async def exchange(port: int, data: bytes, within_s: float = 5) -> Reply:
    """Connect, send `data`, return the first answer, leave."""
    client = await RawClient.open(port)
    try:
        await client.send(data)
        return await client.answer(within_s)
    finally:
        client.close()
