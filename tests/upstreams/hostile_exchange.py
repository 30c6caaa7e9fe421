"""One request to the hostile upstream, what a behaviour can do with it, and the register of behaviours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.upstreams.raw_http import RawConnection, RawRequest

Headers = list[tuple[str, str]]
JSON_TYPE = ("Content-Type", "application/json")
SSE_TYPE = ("Content-Type", "text/event-stream")


def head(status: int | str, headers: Headers) -> bytes:
    """A response head as bytes; nothing is checked, so values may lie."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; of no data: the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(document: Any) -> bytes:
    """An SSE event of type `message`; a document that is not bytes is dumped as JSON."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return b"event: message\ndata: " + data + b"\n\n"


@dataclass(frozen=True)
class Exchange:
    """The request and the open connection to its sender."""

    connection: RawConnection
    request: RawRequest

    @property
    def id(self) -> Any:
        """The JSON-RPC id that the sender chose."""
        return self.request.message.get("id")

    @property
    def base(self) -> str:
        """`http://host:port` of this upstream, as its sender wrote it."""
        return f"http://{self.request.header('host')}"

    def number(self, name: str, default: float) -> float:
        """A number of the query, such as `mb` of /gzip-bomb?mb=512."""
        return float(self.request.query.get(name, default))

    def answer(self, text: str = "ok", **replaced: Any) -> dict[str, Any]:
        """A correct JSON-RPC answer to this request in either era, with members replaced or (by `...`) left out."""
        params = self.request.message.get("params") or {}
        result = {
            "content": [{"type": "text", "text": text}],
            "structuredContent": {"name": params.get("name"), "arguments": params.get("arguments")},
            "resultType": "complete",
        }
        document = {"jsonrpc": "2.0", "id": self.id, "result": result} | replaced
        return {key: value for key, value in document.items() if value is not ...}

    def dumped(self, text: str = "ok", **replaced: Any) -> bytes:
        """The answer as JSON bytes."""
        return json.dumps(self.answer(text, **replaced)).encode()

    async def send(self, data: bytes) -> None:
        """Raw bytes, as they are."""
        await self.connection.send(data)

    async def reply(self, body: bytes, status: int = 200, headers: Headers | None = None) -> None:
        """A whole response with a true Content-Length; `headers` default to a JSON content type."""
        described = [JSON_TYPE] if headers is None else headers
        await self.send(head(status, [*described, ("Content-Length", str(len(body)))]) + body)

    async def begin(self, content_type: tuple[str, str] = SSE_TYPE, *more: tuple[str, str]) -> None:
        """The head of a chunked response."""
        await self.send(head(200, [content_type, ("Transfer-Encoding", "chunked"), *more]))

    async def part(self, data: bytes) -> None:
        """One chunk of what begin() opened."""
        await self.send(chunk(data))

    async def end(self) -> None:
        """The last chunk of what begin() opened."""
        await self.send(chunk(b""))

    async def hang(self) -> None:
        """Nothing more, until the client leaves."""
        await asyncio.Event().wait()

    def close(self) -> None:
        """Close after what was written is out."""
        self.connection.keep_alive = False
        self.connection.transport.close()


Behaviour = Callable[[Exchange], Awaitable[None]]
REGISTER: dict[str, Behaviour] = {}
GROUPS: dict[str, list[str]] = {}


def behaviour(group: str, *names: str) -> Callable[[Behaviour], Behaviour]:
    """Register the decorated function under each path name; `group` is the row of the hostile-upstream cases."""

    def register(play: Behaviour) -> Behaviour:
        for name in names:
            REGISTER[name] = play
            GROUPS.setdefault(group, []).append(name)
        return play

    return register
