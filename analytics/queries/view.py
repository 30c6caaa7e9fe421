"""What is asked about: a span of time, whose calls, and which of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from keys.visibility import Scope


@dataclass(frozen=True, slots=True)
class View:
    """The calls that began in [since, until) (aware, UTC), that `scope` allows, and that carry the given names.

    `since` is taken back to the beginning of its minute; of its hour where the minutes are no longer kept (see
    `Reading.align`).
    """

    since: datetime
    until: datetime
    scope: Scope
    namespace: str | None = None
    upstream: str | None = None
    user_id: str | None = None
    key_id: int | None = None
    tool: str | None = None

    def before(self) -> View:
        """Return the same view of the period of equal length before."""
        return replace(self, since=self.since - (self.until - self.since), until=self.since)

    def names(self) -> dict[str, str | int]:
        """Return the names that the calls must carry."""
        candidates = ("namespace", "upstream", "user_id", "key_id", "tool")
        return {name: value for name in candidates if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class CallFilter:
    """What single calls must be like, on top of a view; None: whatever it is."""

    outcome: str | None = None
    errors_only: bool = False  # whatever did not end `ok`
    reason: str | None = None
    method: str | None = None
    slower_than_us: int | None = None
    request_id: str | None = None
