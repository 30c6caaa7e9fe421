"""What is no request of ours: how it is answered, by a bare status line, and closed so that the answer can be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway_project.server.http_limits import Phase

if TYPE_CHECKING:
    from gateway_project.server.http_protocol import GatewayHttpProtocol

BAD_REQUEST = b"400 Bad Request"
TIMEOUT = b"408 Request Timeout"
TOO_LARGE = b"431 Request Header Fields Too Large"
NOT_IMPLEMENTED = b"501 Not Implemented"
_LINGER_S = 1.0


class Refused(Exception):
    """A head must not reach the application; `status` is the status line's end."""

    def __init__(self, status: bytes) -> None:
        super().__init__(status)
        self.status = status


class Pipelined(Exception):
    """A second request stands behind one that is not answered yet; parsing stops there."""


def refuse(connection: GatewayHttpProtocol, status: bytes) -> bool:
    """Answer with a bare status line where no answer has begun, and close; return whether an application was at work.

    It has been woken up then, and what it still sends goes nowhere.
    """
    cycle = connection.cycle
    is_open = connection.phase is Phase.BODY and cycle is not None and not cycle.response_complete
    if connection.transport.is_closing():
        return False
    if is_open and cycle.response_started:
        connection.close()  # never write into an answer that has begun
        return False
    connection.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    if is_open:
        cycle.disconnected = True
        cycle.message_event.set()
    connection.linger()
    return is_open


def begin_linger(connection: GatewayHttpProtocol) -> asyncio.TimerHandle:
    """Close the sending side, and the rest when the timer returned is over.

    Closing over unread bytes would destroy the answer. They stay unread, not read and dropped: nothing more is taken
    from a client that was refused.
    """
    connection.flow.pause_reading()
    connection.transport.write_eof()
    return connection.loop.call_later(_LINGER_S, connection.close)
