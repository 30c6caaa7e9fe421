"""One HTTP/1.1 connection to an upstream: writes a request, reads its answer, says whether it may be used again.

Parsing is llhttp's (httptools), in its strict mode; what is added are bounds, back-pressure and the rule that a
connection is used again only after a complete and exact answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Any

import httptools

from proxy.answer_head import MAX_HEAD_BYTES, broken, read_head
from proxy.errors import UpstreamFailed

READ_AHEAD_BYTES = 64 * 1024
MAX_INTERIM = 16
_LINE_ENDS = (b"\r", b"\n")
# How a chunked answer without a trailer ends. A line of a trailer has a colon.
_LAST_CHUNK = b"\r\n0\r\n\r\n"


def closed() -> UpstreamFailed:
    """Return the error for a connection that ended before its answer did."""
    return UpstreamFailed("The upstream closed the connection.", reason="upstream_closed")


class UpstreamConnection(asyncio.Protocol):
    """A connection.

    `status` and `headers` (lower-case names, of those that the gateway reads) are there once `head` has returned.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: Any = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._open = True
        self._busy = False
        self._reusable = False
        self.idle_until = 0.0
        self._begin()

    def _begin(self) -> None:
        """Forget the last answer."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.head_done = False
        self._interim = 0
        self._heads: bytes | bytearray = b""  # what came until the head was complete, interim ones included
        self._head_from = 0
        self._bodiless = 0  # bytes that came since the last of the body's, or before the first of them
        self._until_end = self._is_chunked = False
        self._tail = b""  # of the segment before, where the body is chunked
        self._paused = False
        self._error: UpstreamFailed | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0

    # -- what the client does with it --

    @property
    def usable(self) -> bool:
        """Whether a new request may be written. A closing transport would swallow it."""
        return self._open and not self._busy and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write a whole request."""
        self._begin()
        self._busy, self._reusable = True, False
        self._transport.write(data)

    async def head(self) -> None:
        """Wait until status and headers are there. Raises UpstreamFailed when they never will be."""
        while not self.head_done:
            await self._news()

    async def read_some(self) -> bytes:
        """Return the body bytes that have come; empty at its end. Raises UpstreamFailed when it breaks off."""
        while not self._chunks:
            if self.complete:
                return b""
            await self._news()
        return self.take()

    def take(self) -> bytes:
        """Return the body bytes that have come; empty where there are none."""
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            if self._open:
                self._transport.resume_reading()
        return chunk

    def release(self) -> bool:
        """End the work on an answer; return whether the connection can serve another request.

        An upstream that answered early and has not taken the whole request may never take the next one.
        """
        exact = self.complete and self._reusable and self._open and not self._chunks
        if exact and not self._transport.get_write_buffer_size():
            self._busy = False
            return True
        self.abort()
        return False

    def abort(self) -> None:
        """Close at once; what was not sent or read is dropped."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    def _news(self) -> asyncio.Future[None]:
        """Return what is done as soon as anything new came. One waits at a time."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, error: UpstreamFailed) -> None:
        if self._error is None and not self.complete:
            self._error = error
        self.abort()
        self._wake()

    # -- what the transport says --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse what came; bytes that nobody asked for end the connection."""
        if not self._busy or self.complete:
            self._reusable = False
            self.abort()
            return
        self._bodiless += len(data)
        if not self.head_done:
            self._keep_head(data)
        try:
            self._parser.feed_data(data)
        except UpstreamFailed as error:
            self._fail(error)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, UpstreamFailed) else broken())
        if self._bodiless > MAX_HEAD_BYTES:
            self._fail(broken())  # a head, a trailer or a chunk's extension without an end
        if self._is_chunked:
            self._look_for_trailer(data)

    def _keep_head(self, data: bytes) -> None:
        if not self._heads:
            self._heads = data
            return
        if isinstance(self._heads, bytes):
            self._heads = bytearray(self._heads)
        self._heads += data

    def _look_for_trailer(self, data: bytes) -> None:
        """Use no connection again whose chunked answer ended in another way than most, as one with a trailer does.

        The parser takes a trailer such as `Connection: close` for framing, of this answer or of the next one.
        """
        if self.complete and not (self._tail + data[-len(_LAST_CHUNK) :]).endswith(_LAST_CHUNK):
            self._reusable = False
        self._tail = data[-2:]

    def eof_received(self) -> bool:
        """The upstream has said its last: the end of a body that has no other end, else a failure.

        Under TLS this is its closure alert; without one such a body counts as cut off (RFC 9112 §9.8).
        """
        if self.head_done and self._until_end and self._error is None and self._said_so():
            self.complete = True
        # At once: what it did not take of the request would otherwise keep the transport from closing.
        self._fail(closed())
        return False

    def _said_so(self) -> bool:
        """Return whether the end is the upstream's own: anybody on the way can end TCP beneath TLS."""
        tls = self._transport.get_extra_info("ssl_object")
        try:
            return tls is None or tls.read(1) == b""
        except ssl.SSLError:
            return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and with it what was not complete."""
        self._open = False
        if not self.complete and self._error is None:
            self._error = closed()
        self._wake()
        self._parser = None  # it refers to this object; the cycle would wait for the garbage collector

    # -- what the parser says --

    def on_message_begin(self) -> None:
        """A message begins: the first, one after an interim answer, or one that nobody asked for."""
        if self.complete:
            self._reusable = False

    def on_headers_complete(self) -> None:
        """Look at status and framing. Interim answers (1xx) are skipped, a few of them."""
        if self.complete:
            return
        parser = self._parser
        self.headers = headers = self._read_head()
        status = parser.get_status_code()
        framed = "content-length" in headers
        coding = headers.get("transfer-encoding")
        if 100 <= status < 200:
            self._interim += 1
            # The parser reads a body behind some of them; there is none (RFC 9110 §15.2).
            if status == 101 or self._interim > MAX_INTERIM or framed or coding is not None:
                raise broken()
            return
        self.status = status
        if coding is not None and (coding.lower() != "chunked" or framed):
            raise broken()
        self._is_chunked = coding is not None
        self._until_end = coding is None and not framed and status not in (204, 304)
        self._reusable = parser.should_keep_alive() and not self._until_end
        if coding is not None and parser.get_http_version() != "1.1":
            self._reusable = False  # HTTP/1.0 knows no chunks (RFC 9112 §6.1)
        self._bodiless = 0
        self._heads = b""
        self.head_done = True
        if self._waiter is not None:
            self._wake()

    def _read_head(self) -> dict[str, str]:
        """Return the headers of the head that has just been completed."""
        heads, begin = self._heads, self._head_from
        while heads[begin : begin + 1] in _LINE_ENDS:  # which the parser skips before a status line
            begin += 1
        end = heads.find(b"\r\n\r\n", begin)
        if end < 0:
            raise broken()
        self._head_from = end + 4
        return read_head(bytes(heads[begin:end]))

    def on_body(self, body: bytes) -> None:
        """Keep body bytes; stop reading while there are too many that nobody took."""
        if self.complete:
            return
        self._bodiless = 0
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > READ_AHEAD_BYTES and not self._paused and self._open:
            self._paused = True
            self._transport.pause_reading()
        if self._waiter is not None:
            self._wake()

    def on_message_complete(self) -> None:
        """The answer, or an interim one, is complete."""
        if not self.head_done:
            self.headers = {}
            return
        self.complete = True
        if self._waiter is not None:
            self._wake()
