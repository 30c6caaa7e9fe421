"""What one client connection may cost, and how much of a request has arrived."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


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
