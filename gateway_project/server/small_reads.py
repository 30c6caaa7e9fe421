"""Bounds what one read takes from a client: uvloop would take 250 KiB at once, eight times what a head may hold.

The loop reads into one buffer that all connections of the process share, because what was read is copied out before
the next read. While a head is due the buffer is small, so that a head over the limit is refused before twice the
limit was read; bodies are read in larger pieces.
"""

from __future__ import annotations

import asyncio
from typing import Any

from gateway_project.server.http_limits import Phase
from gateway_project.server.http_protocol import GatewayHttpProtocol

HEAD_READ_BYTES = 16 << 10
BODY_READ_BYTES = 64 << 10
_buffer = memoryview(bytearray(BODY_READ_BYTES))
_head_buffer = _buffer[:HEAD_READ_BYTES]


class SmallReads(asyncio.BufferedProtocol):
    """Stands between the transport and a GatewayHttpProtocol, which it makes and to which it hands everything."""

    protocol_class = GatewayHttpProtocol

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._inner = inner = self.protocol_class(*arguments, **options)
        self.connection_made = inner.connection_made  # type: ignore[method-assign,assignment]
        self.connection_lost = inner.connection_lost  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes."""
        return _buffer if self._inner.phase is Phase.BODY else _head_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what was read."""
        self._inner.data_received(bytes(_buffer[:nbytes]))
