"""Server-sent events: an incremental reader with a byte cap, and the writer (WHATWG HTML §9.2).

The data of an event goes on unchanged; everything around it is written anew, so nothing that an upstream puts
between events reaches a client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EVENT_NAME = re.compile(rb"[A-Za-z0-9_./:-]{1,128}")
_EVENT_ID = re.compile(rb"[\x20-\x7e]{0,512}")
KEEP_ALIVE = b": keep-alive\n\n"


class EventTooLarge(ValueError):
    """One event is larger than the cap."""


@dataclass(slots=True)
class Event:
    """One event: `data` as the lines joined by LF; None for a field that was absent."""

    data: bytes | None = None
    name: bytes | None = None
    id: bytes | None = None
    retry: int | None = None

    def encode(self) -> bytes:
        """Return the event as bytes for a client."""
        parts = []
        if self.name is not None:
            parts.append(b"event: %b\n" % self.name)
        if self.id is not None:
            parts.append(b"id: %b\n" % self.id)
        if self.retry is not None:
            parts.append(b"retry: %d\n" % self.retry)
        if self.data is not None:
            if self.data.find(b"\n") >= 0:
                parts.extend(b"data: %b\n" % line for line in self.data.split(b"\n"))
            else:
                parts.append(b"data: %b\n" % self.data)
        parts.append(b"\n")
        return b"".join(parts)


class EventReader:
    """Cuts a byte stream into events; lines may end in CR, LF or CRLF."""

    __slots__ = ("_cap", "_first", "_pending", "_skip_lf")

    def __init__(self, cap: int) -> None:
        # What came of an event that is not complete; it never begins with a line end, nor holds a blank line.
        self._pending = bytearray()
        self._cap = cap
        self._first = True
        self._skip_lf = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes. Raises EventTooLarge when one outgrows the cap."""
        if self._skip_lf and chunk:
            # The CR that ended the last chunk was taken as a line end; its LF belongs to it.
            self._skip_lf = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if self._first:
            chunk = bytes(self._pending) + chunk
            self._pending.clear()
            if len(chunk) < 3 and b"\xef\xbb\xbf".startswith(chunk):
                self._pending += chunk
                return []
            self._first = False
            chunk = chunk.removeprefix(b"\xef\xbb\xbf")
        if chunk.find(b"\r") >= 0:  # not by `in`, which raises and drops an error at each look at bytes
            self._skip_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._pending:
            # Only the new bytes are looked at: an event that comes byte by byte must not be read anew for each.
            known = len(self._pending)
            self._pending += chunk
            if self._pending.find(b"\n\n", known - 1) < 0:
                if len(self._pending) > self._cap:
                    raise EventTooLarge
                return []
            chunk = bytes(self._pending)
            self._pending.clear()
        return self._cut(chunk)

    def _cut(self, buffer: bytes) -> list[Event]:
        """Return the complete events in `buffer` and keep what is left of it."""
        events: list[Event] = []
        start = 0
        while True:
            if buffer.startswith(b"\n", start):
                # A blank line with nothing before it ends an empty event.
                start += 1
                continue
            end = buffer.find(b"\n\n", start)
            if end < 0:
                break
            if end - start > self._cap:
                raise EventTooLarge
            event = _parse_block(buffer[start:end])
            if event is not None:
                events.append(event)
            start = end + 2
        if start < len(buffer):
            self._pending += buffer[start:] if start else buffer
            if len(self._pending) > self._cap:
                raise EventTooLarge
        return events


def _parse_block(block: bytes) -> Event | None:
    """Return the event of one block of lines; None when it holds comments only."""
    if block.startswith(b"data: ") and block.find(b"\n") < 0:
        return Event(block[6:])
    event = Event()
    data: list[bytes] = []
    seen = False
    for line in block.split(b"\n"):
        if not line or line[0] == 58:
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event" and _EVENT_NAME.fullmatch(value):
            event.name = value
        elif field == b"id" and _EVENT_ID.fullmatch(value):
            event.id = value
        elif field == b"retry" and value.isdigit() and len(value) < 10:
            event.retry = int(value)
        else:
            continue
        seen = True
    if data:
        event.data = b"\n".join(data)
    return event if seen else None
