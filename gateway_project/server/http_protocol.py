"""uvicorn's HTTP/1.1 protocol with what it lacks towards hostile clients: limits, deadlines, one reading of a head.

The common request, which arrives whole in one segment, costs no timer here and one pass over its headers.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway_project.server.head_check import Refused, check_head
from gateway_project.server.send_deadline import SendDeadline
from gateway_project.server.whole_answer import write_whole

_BAD_REQUEST = b"400 Bad Request"
_TIMEOUT = b"408 Request Timeout"
_TOO_LARGE = b"431 Request Header Fields Too Large"
_LINGER_S = 1.0
LIVE_PATH = b"/ws/live"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one connection may cost: bytes and lines of a head, seconds for its parts to arrive and its answer to go."""

    head_bytes: int = 32 << 10
    headers: int = 100
    head_s: float = 30.0
    body_s: float = 60.0
    send_s: float = 60.0  # in which a client must take something of what waits for it
    unread_body_bytes: int = 256 << 10  # of a body that nobody wants any more, before the connection is cut


class Phase(IntEnum):
    """How much of the current request has arrived."""

    NOTHING = 0
    HEAD = 1
    BODY = 2
    COMPLETE = 3


class _Pipelined(Exception):
    """A second request stands behind one that is not answered yet; parsing stops there."""


class GatewayHttpProtocol(HttpToolsProtocol):
    """One client connection.

    `scope["extensions"]["gateway.connection"]` is this object. Whoever answers a request may set `on_disconnect`
    to a function without arguments: it is called at once when the client leaves before the answer is complete.
    It is forgotten when the next request begins.
    """

    limits: ClassVar[HttpLimits] = HttpLimits()
    draining: ClassVar[bool] = False  # the process stops: every answer closes its connection

    on_disconnect: Callable[[], None] | None = None
    stalled = False  # the client took nothing of its answer and was cut

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the deadline of the first head, also for a client that stays silent."""
        super().connection_made(transport)
        self.phase = Phase.NOTHING
        self._head_bytes = 0  # of the unfinished head, up to the segment before the current one
        self._overhead = 0  # bytes within a body that were no body: chunk extensions, trailers
        self._unread = 0
        self._body_grew = False
        self._refused = False
        self._segment = 0
        self._extensions = {"gateway.connection": self}
        self._closer = _Closer(self)
        self._sending = SendDeadline(self.loop, transport, self.limits.send_s, self._stall)
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(self.limits.head_s, self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application at once, by its callback and by `http.disconnect`."""
        self._cancel_timer()
        self._sending.stop()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._tell()

    def _tell(self) -> None:
        callback, self.on_disconnect = self.on_disconnect, None
        if callback is not None and self.cycle is not None and not self.cycle.response_complete:
            callback()

    def data_received(self, data: bytes) -> None:
        """Parse a segment, unless it stands behind a request whose answer is open."""
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            # Read and dropped, never left unread: with reading paused the client's leaving would go unseen.
            cycle.keep_alive = False
            return
        self._segment = len(data)
        if self._refused:
            self.flow.pause_reading()  # uvicorn reads on after an answer, for the next request
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._handle_parser_error(error)
            return
        if self.phase != Phase.COMPLETE:
            self._watch(len(data))

    def pause_writing(self) -> None:
        """More waits for the client than should: it must go on reading."""
        super().pause_writing()
        self._sending.watch()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._sending.stop()

    def _stall(self) -> None:
        """Cut a client that takes nothing of what waits for it."""
        self.stalled = True
        self.transport.abort()

    def close(self) -> None:
        """Close once what was written has been taken, or is not taken in time."""
        self.transport.close()
        self._sending.watch()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has been idle; its client may have left the last answer unread."""
        super().timeout_keep_alive_handler()
        self._sending.watch()

    # Parser callbacks

    def on_message_begin(self) -> None:
        """Begin a request; the scope carries the disconnect callback's holder."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            raise _Pipelined
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]
        self.on_disconnect = None
        self.phase = Phase.HEAD
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Check the head and start the application. Raises Refused for a head that must not reach it."""
        headers = self.headers
        url = self.url
        version = self.parser.get_http_version()
        if self._head_bytes + self._segment > self.limits.head_bytes:
            self._measure_head()
        if len(headers) > self.limits.headers:
            raise Refused(_TOO_LARGE)
        check_head(url, version, headers)
        parsed = httptools.parse_url(url)
        self._cancel_timer()
        self.phase = Phase.BODY
        self._overhead = self._unread = 0
        self._body_grew = False
        self.headers = []  # trailers land here, and never among the headers that the application reads
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        raw_path = parsed.path or b"/"
        path = raw_path.decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = parsed.query or b""
        self.cycle = RequestResponseCycle(
            scope=self.scope,
            transport=self._closer,  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive() and not self.draining,
            on_response=self.on_response_complete,
        )
        if raw_path != LIVE_PATH or not self.will_upgrade():
            self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        """Hand body bytes on; those of a request that is answered already are counted and dropped."""
        self._body_grew = True
        cycle = self.cycle
        if cycle.response_complete:
            self._unread += len(body)
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Note that the request has arrived."""
        self.phase = Phase.COMPLETE
        self._cancel_timer()
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    # What `live_socket.py` overrides

    def will_upgrade(self) -> bool:
        """Return whether the request for LIVE_PATH, whose head is complete, is left to `upgrade`."""
        return False

    def upgrade(self, behind: bytes) -> None:
        """Go on after a request to switch protocols; `behind` is what the client has sent after it."""
        # No protocol to switch to: the request was served as a plain one, what follows is not HTTP.
        self.cycle.keep_alive = False

    # What the application may use

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Answer the current request at once and as a whole; False: send it by ASGI messages instead."""
        return write_whole(self.cycle, status, headers, body)

    # What the worker asks

    def owes_answer(self) -> bool:
        """Return whether a request has arrived completely and its answer is not complete."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def shutdown(self) -> None:
        """Close now, or after the answer that is owed; a half-sent request is not waited for."""
        if self.owes_answer():
            self.cycle.keep_alive = False
        else:
            self.close()

    # Limits

    def _measure_head(self) -> None:
        """Add up the head's bytes; called only when so many arrived that it may be too large."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.head_bytes:
            raise Refused(_TOO_LARGE)

    def _watch(self, received: int) -> None:
        """Hold a request that is still arriving to its limits."""
        if self.phase == Phase.BODY:
            if not self._body_grew:
                self._overhead += received
            self._body_grew = False
            if self._overhead > self.limits.head_bytes or len(self.headers) > self.limits.headers:
                self._refuse(_BAD_REQUEST)
            elif self._unread > self.limits.unread_body_bytes:
                self.close()
            elif self._timer is None:
                self._timer = self.loop.call_later(self.limits.body_s, self._expire)
            return
        self._head_bytes += received
        if self._head_bytes > self.limits.head_bytes:
            self._refuse(_TOO_LARGE)
        elif self._timer is None:
            self._timer = self.loop.call_later(self.limits.head_s, self._expire)

    def _expire(self) -> None:
        """The head or the body did not arrive in time."""
        self._timer = None
        self._refuse(_TIMEOUT)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Refusals

    def _handle_parser_error(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, _Pipelined):
            return
        self._refuse(cause.status if isinstance(cause, Refused) else _BAD_REQUEST)

    def _refuse(self, status: bytes) -> None:
        """Answer with a bare status line where no answer has begun, and close."""
        cycle = self.cycle
        is_open = self.phase == Phase.BODY and cycle is not None and not cycle.response_complete
        self._refused = True
        if self.transport.is_closing():
            return
        if is_open and cycle.response_started:
            self.close()  # never write into an answer that has begun
            return
        self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        if is_open:
            cycle.disconnected = True  # what the application still sends goes nowhere
            cycle.message_event.set()
            self._tell()
        self.linger()

    def linger(self) -> None:
        """Close the sending side now and the rest soon: closing over unread bytes would destroy the answer."""
        self._refused = True
        self._cancel_timer()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        # Unread, not read and dropped: nothing more is taken from a client that was refused.
        self.flow.pause_reading()
        self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER_S, self.close)


class _Closer:
    """The transport as a request's cycle sees it: closing waits for a client that is still sending its body."""

    __slots__ = ("_protocol", "is_closing", "write")

    def __init__(self, protocol: GatewayHttpProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        if self._protocol.phase == Phase.BODY:
            self._protocol.linger()
        else:
            self._protocol.close()
