"""Writes an answer that is there as a whole in one piece, past the two ASGI messages that it would take.

The header names and values are the caller's own and not looked at
again; what uvicorn's `send` does besides (framing, closing, the next request) is done here just so.
"""

from __future__ import annotations

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


def write_whole(cycle: RequestResponseCycle, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
    """Write a complete answer and end the cycle; return False when it must wait for a slow reader.

    Args: cycle: a request that no answer has been begun for; headers: lower-case names, content-length among them.
    """
    if cycle.disconnected:
        return True
    if cycle.flow.write_paused:
        return False
    content = [STATUS_LINE[status]]
    for name, value in cycle.default_headers:
        content += (name, b": ", value, b"\r\n")
    for name, value in headers:
        content += (name, b": ", value, b"\r\n")
        if name == b"connection" and value == b"close":
            cycle.keep_alive = False
    if not cycle.keep_alive:
        content.append(b"connection: close\r\n")
    content += (b"\r\n", body)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join(content))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
