"""A client connection after its upgrade to the live view's WebSocket: uvicorn's protocol, held to limits of our own.

uvicorn has two implementations, and both have the back-pressure that Daphne lacks: `send` first awaits `writable`,
which the transport's `pause_writing` clears (wsproto_impl.py `send`, websockets_sansio_impl.py `send`), so one writer
has at most the high-water mark and one message in memory. They differ here: websockets refuses a frame by the length
in its head (protocol.py `parse`: `max_size`), wsproto counts the payload as it comes; hence this one. What both lack is
added below: pongs are written without looking at `writable`, closing waits for a reader who never reads, a message's
fragments have no number, and one read may bring 256 KiB of frames.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway_project.server.http_protocol import GatewayHttpProtocol
from gateway_project.server.small_reads import SmallReads

MAX_MESSAGE_BYTES = 4096
READ_BYTES = 4096
# What may wait in this process for a slow reader, and in the system besides.
HIGH_WATER_BYTES, SEND_BUFFER_BYTES = 32 << 10, 64 << 10
UNREAD_S = 30.0
# How long a closed connection may take to be read to its end, and how much is still taken from its client meanwhile.
CLOSE_S, CLOSE_BYTES = 2.0, 64 << 10
# Everything that a client may send: filters are small and rare.
WINDOW_S, WINDOW_BYTES = 10.0, 64 << 10
MAX_FRAGMENTS = 16
_HANDSHAKE = (b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-protocol")
_GOING_AWAY, _NO_TEXT, _POLICY = 1001, 1007, 1008

_buffer = memoryview(bytearray(READ_BYTES))


class LiveHttpProtocol(GatewayHttpProtocol):
    """The client connection before: one request, and no other, may turn it into a WebSocket."""

    _switching = False

    def will_upgrade(self) -> bool:
        """Return whether the request is a WebSocket handshake without a body; another is served as a plain one."""
        values = dict(self.scope["headers"])
        tokens = [token.strip() for token in values.get(b"connection", b"").lower().split(b",")]
        has_body = b"content-length" in values or b"transfer-encoding" in values
        asks = values.get(b"upgrade", b"").lower() == b"websocket" and b"upgrade" in tokens and not has_body
        self._switching = asks and self.scope["method"] == "GET" and self.parser.should_upgrade()
        return self._switching

    def upgrade(self, behind: bytes) -> None:
        """Hand the connection over."""
        if not self._switching:
            super().upgrade(behind)
            return
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        live_socket = LiveSocket(self, behind)
        self.transport.set_protocol(live_socket)
        live_socket.inner.begin(self.transport, list(self.scope["headers"]))


class LiveReads(SmallReads):
    """Reads for connections that may turn into live views."""

    protocol_class = LiveHttpProtocol


class LiveSocket(asyncio.BufferedProtocol):
    """Stands between the transport and the WebSocket's protocol: small reads, and a bound on what a client sends.

    Buffered like the protocol that it takes over from, because uvloop chooses how to read when reading begins and
    does not choose again at `set_protocol`.
    """

    def __init__(self, http: GatewayHttpProtocol, early: bytes) -> None:
        """Take over from an HTTP connection whose request asks for the upgrade; `early` is what came behind it."""
        self.inner = inner = LiveProtocol(http, early)
        self.connection_lost = inner.connection_lost  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self._window_ends = 0.0
        self._received = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes."""
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what was read, unless it is too much."""
        if self.inner.transport.is_closing():
            self.inner.transport.discard(nbytes)  # type: ignore[attr-defined]
            return
        now = time.monotonic()
        if now >= self._window_ends:
            self._window_ends, self._received = now + WINDOW_S, 0
        self._received += nbytes
        if self._received > WINDOW_BYTES:
            self.inner.fail(_POLICY, "too much was sent")
        else:
            self.inner.data_received(bytes(_buffer[:nbytes]))


class LiveProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket on websockets' frames, begun in the middle of an HTTP connection."""

    def __init__(self, http: GatewayHttpProtocol, early: bytes) -> None:
        super().__init__(http.config, http.server_state, http.app_state, http.loop)
        self._http_scope: dict[str, Any] = dict(http.scope)
        self._early = early
        self.close_timeout = CLOSE_S  # until the client answers a close
        self._unread: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport, headers: list[tuple[bytes, bytes]]) -> None:
        """Start the application. Nothing more is read until it has decided: who is refused sends nothing else."""
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        with suppress(OSError):  # a Unix socket may know better
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._gate = gate = _Transport(transport, self.loop)
        self.connection_made(gate)  # type: ignore[arg-type]
        gate.hold("handshake")
        # Only what the handshake needs: the head was read and checked, and is not read in another way again.
        lines = [b"GET /ws/live HTTP/1.1", b"Upgrade: websocket", b"Connection: Upgrade"]
        lines += [name + b": " + value for name, value in headers if name in _HANDSHAKE]
        self.data_received(b"\r\n".join([*lines, b"", b""]))
        if not self.handshake_initiated:
            gate.write(b"".join(self.conn.data_to_send()))
            gate.close()

    def handle_connect(self, event: Any) -> None:
        """Give the application the request's own head."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            kept = ("scheme", "path", "raw_path", "query_string", "headers")
            self.scope.update({name: self._http_scope[name] for name in kept})  # type: ignore[typeddict-item]
            self.scope["scheme"] = "wss" if self._http_scope["scheme"] == "https" else "ws"

    async def send(self, message: Any) -> None:
        """Send what the application says, once the reader has room. Raises OSError (ASGI 2.4) when it is too late."""
        await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.accept":
            early, self._early = self._early, b""
            if early:
                self.data_received(early)
            self._gate.release("handshake")

    def handle_cont(self, event: Any) -> None:
        """Collect a fragment; empty ones have no size, so they are counted."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self.fail(_POLICY, "too many fragments")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a message on; one that is no text is the client's mistake, not ours to be logged as an error."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.fail(_NO_TEXT, "a text is UTF-8")
                return
        super().send_receive_event_to_app()

    def pause_writing(self) -> None:
        """Read nothing from who does not read, not even pings; after a while give up."""
        super().pause_writing()
        self._gate.hold("unread")
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_S, self._gate.abort)

    def resume_writing(self) -> None:
        """Go on."""
        self._forget_unread()
        self._gate.release("unread")
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, which ends its receiving and whatever it is sending."""
        self._forget_unread()
        self._gate.lost()
        super().connection_lost(exc)

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def fail(self, code: int, reason: str) -> None:
        """Close with a code (RFC 6455 section 7.4) and its reason, without waiting for anything."""
        self.stop_keepalive()
        if self.close_sent or self.transport.is_closing():
            return
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    # What the worker asks

    def owes_answer(self) -> bool:
        """Return False: a live view holds no drain up."""
        return False

    def shutdown(self) -> None:
        """Close now: 1001 to an open socket, 503 to one that is being decided on."""
        if self.handshake_complete:
            self.fail(_GOING_AWAY, "the gateway is stopping")
        elif not self.transport.is_closing():
            self.handshake_complete = self.close_sent = True
            self.conn.send_response(self.conn.reject(503, "The gateway is stopping.\n"))
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()


class _Transport:
    """The transport as the protocol sees it: reading has several reasons to pause, closing has an end."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._reasons: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_lost = False
        self._discarded = 0
        self.write = transport.write
        self.get_extra_info = transport.get_extra_info
        self.abort = transport.abort

    def is_closing(self) -> bool:
        """Return whether nothing more is said."""
        return self._timer is not None or self._transport.is_closing()

    def hold(self, reason: str) -> None:
        """Read nothing until this reason, and every other, is gone."""
        self._reasons.add(reason)
        self._transport.pause_reading()

    def release(self, reason: str) -> None:
        """Take a reason away."""
        self._reasons.discard(reason)
        if not self._reasons and not self.is_closing():
            self._transport.resume_reading()

    def pause_reading(self) -> None:
        """As uvicorn does while a message waits for the application."""
        self.hold("message")

    def resume_reading(self) -> None:
        """The application took it."""
        self.release("message")

    def close(self) -> None:
        """Say nothing more, and close once the client has closed too, or soon all the same.

        A socket that is closed with bytes unread, or that gets some later, answers with a reset, and a client that
        meets a reset while it sends does not read why it was closed: RFC 6455 section 7.1.1 (and RFC 9112 section 9.6).
        """
        if self.is_closing() or self._is_lost:
            return
        self._timer = self._loop.call_later(CLOSE_S, self._transport.abort)
        self.write = _unsaid
        with suppress(OSError):  # reset a moment ago; uvloop closes it then
            self._transport.write_eof()
            self._transport.resume_reading()

    def discard(self, nbytes: int) -> None:
        """Throw away what a client sends that has not seen the close yet; one that goes on is cut off."""
        self._discarded += nbytes
        if self._discarded > CLOSE_BYTES:
            self._transport.abort()

    def lost(self) -> None:
        """The connection is gone."""
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()


def _unsaid(data: bytes | bytearray | memoryview[Any]) -> None:
    """Write nothing: a pong after the close, for one."""
