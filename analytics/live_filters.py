"""Which rows one live socket gets: what its caller may see, and what it asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analytics.live_rows import MAX_USER_CHARACTERS, Row, cut
from analytics.record import OUTCOMES
from keys.visibility import Scope

_TEXTS = {"namespace": 512, "user": 512, "tool": 512, "upstream": 512}
_FIELDS = {"namespace": "namespace", "user": "user_id", "tool": "tool", "upstream": "upstream", "outcome": "outcome"}
_SWITCHES = ("errors_only", "mine")
_SLOWEST_MS = 86_400_000.0
_KNOWN = frozenset((*_FIELDS, *_SWITCHES, "slower_than_ms"))


class FilterError(ValueError):
    """A filter that cannot be understood; the text names the field and is meant for the caller."""


@dataclass(frozen=True, slots=True)
class LiveFilter:
    """What a caller asked for. None: anything; texts are compared whole; `slower_than_ms` is in milliseconds."""

    namespace: str | None = None
    user: str | None = None
    tool: str | None = None
    upstream: str | None = None
    outcome: str | None = None
    errors_only: bool = False
    slower_than_ms: float | None = None
    mine: bool = False

    @classmethod
    def parse(cls, message: dict[str, Any]) -> LiveFilter:
        """Return the filter of a message (its `type` is not looked at). Raises FilterError."""
        asked = {name: value for name, value in message.items() if name != "type" and value is not None}
        if unknown := asked.keys() - _KNOWN:
            raise FilterError(f"A filter has no field {cut(min(unknown), 40)!r}.")
        for name, longest in _TEXTS.items():
            if name in asked and not (isinstance(asked[name], str) and len(asked[name]) <= longest):
                raise FilterError(f"{name} must be a text of at most {longest} characters.")
        for name in _SWITCHES:
            if not isinstance(asked.get(name, False), bool):
                raise FilterError(f"{name} must be true or false.")
        if asked.get("outcome") not in (None, "", *OUTCOMES):
            raise FilterError(f"outcome must be one of: {', '.join(OUTCOMES)}.")
        slower = asked.get("slower_than_ms")
        if slower is not None and (
            isinstance(slower, bool) or not isinstance(slower, int | float) or not 0 <= slower <= _SLOWEST_MS
        ):
            raise FilterError(f"slower_than_ms must be a number from 0 to {_SLOWEST_MS:.0f}.")
        return cls(**{name: value for name, value in asked.items() if value != ""})

    def as_message(self) -> dict[str, Any]:
        """Return the fields that restrict anything, as the caller may send them again."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value not in (None, False)}


class Gate:
    """Decides row by row; made anew whenever the scope or the filter changes. Takes well under a microsecond a row."""

    __slots__ = (
        "_errors_only",
        "_namespaces",
        "_slower_than_ms",
        "_users",
        "_wanted",
        "sees_addresses",
        "sees_everything",
    )

    def __init__(self, scope: Scope, asked: LiveFilter) -> None:
        """Take what the caller may see and what it asked for."""
        self._namespaces = None if scope.namespaces is None else frozenset(scope.namespaces)
        self._users = None if scope.user_ids is None else frozenset(scope.user_ids)
        self.sees_addresses = scope.sees_addresses
        self.sees_everything = scope.namespaces is None and scope.user_ids is None
        texts = {field: getattr(asked, name) for name, field in _FIELDS.items()}
        # Cut as the rows are, so that a long name still finds its calls.
        self._wanted = tuple(
            (field, cut(text, MAX_USER_CHARACTERS) if field == "user_id" else cut(text))
            for field, text in texts.items()
            if text is not None
        )
        self._errors_only = asked.errors_only
        self._slower_than_ms = asked.slower_than_ms

    def lets(self, row: Row) -> bool:
        """Return whether the socket may have the row and wants it."""
        if self._namespaces is not None and row["namespace"] not in self._namespaces:
            return False
        if self._users is not None and row["user_id"] not in self._users:
            return False
        if self._errors_only and row["outcome"] == "ok":
            return False
        if self._slower_than_ms is not None and row["latency_ms"] < self._slower_than_ms:
            return False
        return all(row[field] == text for field, text in self._wanted)
