"""Events of legacy SSE streams kept in memory, so that a client can resume with `Last-Event-ID`."""

from __future__ import annotations

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import JSONRPCMessage


class MemoryEventStore(EventStore):
    """One list for all streams; the event id is the position in it. A `None` message is a priming event."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Append and answer the event's id."""
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send the later events of the same stream; None when the id is not one of ours."""
        if not last_event_id.isascii() or not last_event_id.isdigit():
            return None
        position = int(last_event_id)
        if not 0 < position <= len(self._events):
            return None
        stream_id = self._events[position - 1][0]
        for later, (stream, message) in enumerate(self._events[position:], start=position + 1):
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(later)))
        return stream_id
