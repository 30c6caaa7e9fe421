"""The parser of upstreams' HTTP answers: any bytes end in an answer or an error, and never reach the next caller."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.answer_head import MAX_HEAD_BYTES
from proxy.errors import UpstreamFailed
from proxy.upstream_connection import UpstreamConnection
from tests.proxy.answers import answer, chunked

OWN = answer(b"own", "Content-Type: application/json")
SEEDS = [
    b"\x05\x00" + answer(b'{"jsonrpc":"2.0","id":1,"result":{}}', "Content-Type: application/json"),
    b"\x20\x01" + chunked(b'{"jsonrpc":"2.0",', b'"id":1}', headers="Content-Type: application/json\r\n"),
    b"\x30\x00" + chunked(b"data: {}\n\n", trailer=b"X-Trailer: 1\r\n", headers="Content-Type: text/event-stream\r\n"),
    b"\x11\x01HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(b"{}"),
    b"\x40\x01HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}",
    b"\x09\x00HTTP/1.1 204 No Content\r\n\r\n",
    b"\x10\x00" + answer(b"a") + answer(b"poisoned"),
    b"\x10\x00HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"\x10\x00HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nConnection: close\r\nKeep-Alive: timeout=5\r\n\r\n",
]
_loop = asyncio.new_event_loop()


class Wire(asyncio.Transport):
    """A transport without a network: what is fed to its protocol is up to the fuzzer."""

    closing = paused = False

    def write(self, data: Any) -> None:
        """Take a request; nobody reads it."""

    def abort(self) -> None:
        """Close."""
        self.closing = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closing

    def pause_reading(self) -> None:
        """Feed no more."""
        self.paused = True

    def resume_reading(self) -> None:
        """Feed again."""
        self.paused = False

    def get_write_buffer_size(self) -> int:
        """Everything has left."""
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing is known of it."""
        return default


def _feed(connection: UpstreamConnection, wire: Wire, data: bytes) -> None:
    if not wire.closing:
        connection.data_received(data)


def check(data: bytes) -> None:
    """The first byte says where the answer is cut, the second whether the connection ends after it."""
    if len(data) < 3:
        return
    cut, ends, raw = data[0], data[1] % 2, data[2:]
    wire, connection = Wire(), UpstreamConnection(_loop)
    connection.connection_made(wire)
    connection.write(b"POST / HTTP/1.1\r\n\r\n")
    _feed(connection, wire, raw[:cut])
    _feed(connection, wire, raw[cut:])
    if ends and not wire.closing:
        connection.eof_received()
    if wire.closing:
        connection.connection_lost(None)
    assert connection.complete or connection._error is not None or not wire.closing
    assert isinstance(connection._error, UpstreamFailed | None)
    body = b"".join(connection._chunks)
    assert len(body) <= len(raw)
    assert sum(len(name) + len(value) for name, value in connection.headers.items()) <= 2 * MAX_HEAD_BYTES
    if not 200 <= connection.status <= 599:
        connection.abort()  # as the client does once the head is there
    assert connection.status not in (204, 304) or not body
    connection._chunks.clear()
    if connection.release():
        # The next call gets its own answer, and not a byte of this one's.
        connection.write(b"POST / HTTP/1.1\r\n\r\n")
        connection.data_received(OWN)
        assert (connection.status, b"".join(connection._chunks), connection.complete) == (200, b"own", True)
