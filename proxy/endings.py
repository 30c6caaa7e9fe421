"""Why the work on a call stops before its end, other than by an error."""

from __future__ import annotations


class ClientGone(Exception):
    """The client left before its answer was complete; or it was dropped, for `reason`."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class StreamEnded(Exception):
    """The gateway ends a stream on purpose (`reason`): shut-down, or a right that was withdrawn."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
