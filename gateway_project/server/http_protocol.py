"""uvicorn's HTTP/1.1 protocol with what it lacks towards hostile clients: limits, deadlines, one reading of a head.

The common request, which arrives whole in one segment, costs no timer here and one pass over its headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway_project.server.head_check import check_head, read_target
from gateway_project.server.http_limits import HttpLimits, Phase
from gateway_project.server.idle_connections import IdleConnections
from gateway_project.server.refusal import BAD_REQUEST, TIMEOUT, TOO_LARGE, Pipelined, Refused, begin_linger, refuse
from gateway_project.server.request_cycle import Closer, RequestCycle
from gateway_project.server.send_deadline import SendDeadline

_METHODS = {name.encode(): name for name in ("GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH")}
LIVE_PATH = b"/ws/live"


class GatewayHttpProtocol(HttpToolsProtocol):
    """One client connection.

    `scope["extensions"]["gateway.connection"]` is this object. Whoever answers a request may set `on_disconnect`
    to a function without arguments: it is called at once when the client leaves before the answer is complete.
    It is forgotten when the next request begins.
    """

    limits: ClassVar[HttpLimits] = HttpLimits()
    draining: ClassVar[bool] = False  # the process stops: every answer closes its connection

    cycle: RequestCycle
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
        self.is_refused = False
        self._segment = 0
        # What every request of the connection has in its scope.
        self._common: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "extensions": {"gateway.connection": self},
        }
        self.closer = Closer(self)
        self._idle = IdleConnections.of(self.server_state, self.timeout_keep_alive, self.loop)
        self._sending = SendDeadline(self.loop, transport, self.limits.send_s, self._stall)
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(self.limits.head_s, self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application at once, by its callback and by `http.disconnect`."""
        self._cancel_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._tell()
        # What refers back here goes, lest all of it wait for the garbage collector.
        self._common.clear()
        self._sending.end()
        self.cycle = self.closer = self.scope = None  # type: ignore[assignment]

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
        if self.is_refused:
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
        """Begin a request, unless it stands behind one that is not answered."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            raise Pipelined
        self._idle.discard(self)
        self.url = b""
        self.headers = []
        self.on_disconnect = None
        self.phase = Phase.HEAD
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a line of the head, or a trailer."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head and start the application. Raises Refused for a head that must not reach it."""
        headers, parser = self.headers, self.parser
        version = parser.get_http_version()
        if self._head_bytes + self._segment > self.limits.head_bytes:
            self._measure_head()
        if len(headers) > self.limits.headers:
            raise Refused(TOO_LARGE)
        expects = check_head(self.url, version, headers)
        raw_path, path, query = read_target(self.url)
        if self._timer is not None:
            self._cancel_timer()
        self.phase = Phase.BODY
        self._overhead = self._unread = 0
        self._body_grew = False
        self.headers = []  # trailers land here, and never among the headers that the application reads
        self.scope = scope = self._common.copy()  # type: ignore[assignment]
        if version != "1.1":
            scope["http_version"] = version
        method = parser.get_method()
        scope["method"] = _METHODS.get(method) or method.decode("ascii")
        scope["path"] = path
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        scope["headers"] = headers
        scope["state"] = self.app_state.copy()
        keep_alive = version != "1.0" and parser.should_keep_alive() and not self.draining
        self.cycle = cycle = RequestCycle(self, scope, keep_alive, expects_continue=expects)
        if raw_path != LIVE_PATH or not self.will_upgrade():
            cycle.start(self.app, self.loop)

    def on_body(self, body: bytes) -> None:
        """Hand body bytes on; those of a request that is answered already are counted and dropped."""
        self._body_grew = True
        cycle = self.cycle
        if cycle.response_complete:
            self._unread += len(body)
            return
        cycle.body = cycle.body + body if cycle.body else body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Note that the request has arrived."""
        self.phase = Phase.COMPLETE
        if self._timer is not None:
            self._cancel_timer()
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """The answer is complete: read on, and count the connection among the idle ones."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._idle.add(self)

    def _unset_keepalive_if_required(self) -> None:
        self._idle.discard(self)

    # What `live_socket.py` overrides

    def will_upgrade(self) -> bool:
        """Return whether the request for LIVE_PATH, whose head is complete, is left to `upgrade`."""
        return False

    def upgrade(self, behind: bytes) -> None:
        """Go on after a request to switch protocols; `behind` is what the client has sent after it."""
        # No protocol to switch to: the request was served as a plain one, what follows is not HTTP.
        self.cycle.keep_alive = False

    # What the application may use

    def respond(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Answer the current request at once and as a whole; False: send it by ASGI messages instead."""
        return self.cycle is None or self.cycle.write_whole(status, headers, body)  # None: the client is gone

    def take_body(self) -> bytes | None:
        """Return the current request's body if all of it is there and untouched, else None: `receive` brings it."""
        return self.cycle.take_body() if self.cycle is not None else None

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
            raise Refused(TOO_LARGE)

    def _watch(self, received: int) -> None:
        """Hold a request that is still arriving to its limits."""
        if self.phase == Phase.BODY:
            if not self._body_grew:
                self._overhead += received
            self._body_grew = False
            if self._overhead > self.limits.head_bytes or len(self.headers) > self.limits.headers:
                self._refuse(BAD_REQUEST)
            elif self._unread > self.limits.unread_body_bytes:
                self.close()
            elif self._timer is None:
                self._timer = self.loop.call_later(self.limits.body_s, self._expire)
            return
        self._head_bytes += received
        if self._head_bytes > self.limits.head_bytes:
            self._refuse(TOO_LARGE)
        elif self._timer is None:
            self._timer = self.loop.call_later(self.limits.head_s, self._expire)

    def _expire(self) -> None:
        """The head or the body did not arrive in time."""
        self._timer = None
        self._refuse(TIMEOUT)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Refusals

    def _handle_parser_error(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if not isinstance(cause, Pipelined):
            self._refuse(cause.status if isinstance(cause, Refused) else BAD_REQUEST)

    def _refuse(self, status: bytes) -> None:
        self.is_refused = True
        if refuse(self, status):
            self._tell()

    def linger(self) -> None:
        """Close the sending side now and the rest soon; nothing more is read."""
        self.is_refused = True
        self._cancel_timer()
        self._idle.discard(self)
        if not self.transport.is_closing():
            self._timer = begin_linger(self)
