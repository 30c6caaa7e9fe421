"""A client that knows exactly what it got: one connection, whole answers, an error for everything else."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

VERSION = "2025-11-25"


class Broken(Exception):
    """The connection ended before the answer was complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: status line, headers and body all arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def tool_call(name: str, arguments: Mapping[str, Any], identifier: int | str = 1) -> bytes:
    """The body of a tools/call."""
    params = {"name": name, "arguments": dict(arguments)}
    return json.dumps({"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": params}).encode()


def text_of(answer: Answer) -> str:
    """The text of a tool's result."""
    return str(answer.json()["result"]["content"][0]["text"])


def protocol_headers(key: str, request_id: str | None = None, *, bare: bool = False) -> dict[str, str]:
    """The headers of a POST as a legacy client sends them; `bare` as one line of curl would."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if not bare:
        headers |= {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": VERSION}
    return headers if request_id is None else headers | {"X-Request-Id": request_id}


class Connection:
    """One HTTP/1.1 connection to a port of the loopback interface."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect. Raises OSError."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    @property
    def local_port(self) -> int:
        """This side's port."""
        return int(self.writer.get_extra_info("sockname")[1])

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send a request and wait for nothing."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request and return its answer. Raises Broken."""
        self.send(method, path, headers, body)
        return await self.answer()

    async def answer(self) -> Answer:
        """Read one complete answer. Raises Broken."""
        try:
            status, headers = await self.head()
            if headers.get("transfer-encoding") == "chunked":
                body = b"".join([chunk async for chunk in self.chunks()])
            else:
                body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Broken from error
        return Answer(status, headers, body)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read status and headers."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def chunks(self) -> Any:
        """Yield the chunks of a body; returning means that the last chunk came, and not just the end."""
        while size := int(await self.reader.readline() or _end(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    def close(self) -> None:
        """Close with FIN, as a client does that has lost interest."""
        self.writer.close()

    def reset(self) -> None:
        """Close with RST, as a client does that was killed with bytes unread."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def _end() -> bytes:
    raise Broken("the connection ended within a chunked body")
