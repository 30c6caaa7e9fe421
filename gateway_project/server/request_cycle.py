"""One request and its answer on a client connection: uvicorn's cycle with less to make, and answers in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway_project.server.http_limits import Phase

if TYPE_CHECKING:
    from asgiref.typing import ASGI3Application

    from gateway_project.server.http_protocol import GatewayHttpProtocol


_CLOSE = (b"connection", b"close")


class _Nobody:
    """In place of an asyncio.Event: nobody waits for news of the request, so nobody is told."""

    def set(self) -> None:
        """Do nothing."""


_NOBODY = _Nobody()


class RequestCycle(RequestResponseCycle):
    """A cycle whose `receive` and `send` are uvicorn's. What most requests never change is not assigned at each."""

    message_event: Any = _NOBODY
    access_log = False
    disconnected = False
    more_body = True
    body: bytes | bytearray = b""  # type: ignore[assignment]
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    _is_taken = False

    def __init__(
        self, connection: GatewayHttpProtocol, scope: dict[str, Any], keep_alive: bool, *, expects_continue: bool
    ) -> None:
        self.scope = scope  # type: ignore[assignment]
        self.transport = connection.closer  # type: ignore[assignment]
        self.flow = connection.flow
        self.logger = connection.logger
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects_continue
        self._tasks = connection.tasks

    def start(self, app: ASGI3Application, loop: asyncio.AbstractEventLoop) -> None:
        """Run the application in a task of its own. It is among the server's tasks until it ends."""
        self.task = loop.create_task(self.run_asgi(app))  # type: ignore[arg-type]
        self._tasks.add(self.task)

    async def run_asgi(self, app: Any) -> None:
        """Run the application; answer in its place, or close, when it fails or leaves its answer incomplete."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:
            self.logger.error("Exception in ASGI application\n", exc_info=error)
            await self._break_off()
        else:
            if not (self.response_complete or self.disconnected):
                # Also where it has just cut its client off, which the transport has not said yet.
                self.logger.error("ASGI callable returned without completing response.")
                await self._break_off()
        finally:
            self._tasks.discard(self.task)  # here, because a callback would be one more turn of the event loop

    async def _break_off(self) -> None:
        if self.response_started:
            self.transport.close()
        else:
            await self.send_500_response()

    async def receive(self) -> Any:
        """Return the next ASGI message. Most requests are never asked for one."""
        if self.message_event is _NOBODY:
            self.message_event = asyncio.Event()
            if not self._is_taken and (self.body or not self.more_body):
                self.message_event.set()
        return await super().receive()

    def take_body(self) -> bytes | None:
        """Return the whole body if it is there and nothing of it was taken yet, else None: `receive` brings it then."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        if self._is_taken or self.message_event is not _NOBODY:
            return None
        self._is_taken = True
        body, self.body = self.body, b""
        return bytes(body)

    def write_whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a complete answer and end the cycle; return False when it must wait for a slow reader.

        Args: headers: lower-case names, content-length among them; names and values are the caller's own and not
        looked at again. What uvicorn's `send` does besides (framing, closing, the next request) is done here just so.
        """
        if self.disconnected:
            return True
        if self.flow.write_paused:
            return False
        lines = [b": ".join(pair) for pair in (*self.default_headers, *headers)]
        if _CLOSE in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close")
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[status], b"\r\n".join(lines), body))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


class Closer:
    """The transport as a request's cycle sees it: closing waits for a client that is still sending its body."""

    __slots__ = ("_connection", "is_closing", "write")

    def __init__(self, connection: GatewayHttpProtocol) -> None:
        self._connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        """Close once the answer has been taken."""
        if self._connection.phase is Phase.BODY:
            self._connection.linger()
        else:
            self._connection.close()
