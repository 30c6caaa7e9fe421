"""Brakes that an admin pulls: what is quarantined is refused in its every call, with the reason that the admin gave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxy.errors import GatewayError, Quarantined


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the quarantine of one scope is answered.

    The caller is at fault as far as HTTP can tell (403); what lies behind the gateway is unavailable (503); a tool's
    answer is one of JSON-RPC, as that for an unknown tool is, so that sessions go on (200).
    """

    words: str
    status: int
    reason: str


_KINDS = {
    "key": _Kind("This key", 403, reason="key_quarantined"),
    "user": _Kind("This user", 403, reason="user_quarantined"),
    "namespace": _Kind("This namespace", 503, reason="namespace_quarantined"),
    "upstream": _Kind("The server", 503, reason="upstream_quarantined"),
    "tool": _Kind("The tool", 200, reason="tool_quarantined"),
}


@dataclass(frozen=True, slots=True)
class Hold:
    """A quarantine of a key, user, namespace, upstream or tool (`scope`); `ends_at`: seconds since 1970, or None."""

    scope: str
    reason: str
    ends_at: float | None

    @property
    def code(self) -> str:
        """The reason code."""
        return _KINDS[self.scope].reason

    def is_in_force(self, now: float) -> bool:
        """Return whether it stops calls at `now`, seconds since 1970."""
        return self.ends_at is None or now < self.ends_at

    def refusal(self, now: float) -> GatewayError:
        """Return the answer for what is held."""
        kind = _KINDS[self.scope]
        message = f"{kind.words} is quarantined: {self.reason}"
        if self.ends_at is None:
            return Quarantined(message, reason=self.code, status=kind.status)
        until = datetime.fromtimestamp(self.ends_at, UTC)
        left_s = self.ends_at - now
        return Quarantined(
            f"{message} (until {until:%Y-%m-%d %H:%M} UTC)",
            reason=self.code,
            status=kind.status,
            headers=((b"retry-after", b"%d" % max(1, -int(-left_s // 1))),),
            data={"retryAfterMs": int(left_s * 1000) + 1},
        )


@dataclass(slots=True)
class Holds:
    """Every quarantine, by what it stops. A tool's may be narrowed to a namespace, an upstream, or both."""

    keys: dict[int, list[Hold]] = field(default_factory=dict)
    users: dict[str, list[Hold]] = field(default_factory=dict)
    namespaces: dict[int, list[Hold]] = field(default_factory=dict)
    upstreams: dict[int, list[Hold]] = field(default_factory=dict)
    tools: list[tuple[str, int | None, int | None, Hold]] = field(default_factory=list)

    def of(self, key_id: int, user_id: str, namespace_id: int, upstream_id: int) -> tuple[Hold, ...]:
        """Return what stops the calls of a key to a namespace."""
        return (
            *self.keys.get(key_id, ()),
            *self.users.get(user_id, ()),
            *self.namespaces.get(namespace_id, ()),
            *self.upstreams.get(upstream_id, ()),
        )

    def of_tools(self, namespace_id: int, upstream_id: int) -> dict[str, tuple[Hold, ...]]:
        """Return what stops single tools of a namespace, by their names."""
        found: dict[str, tuple[Hold, ...]] = {}
        for name, namespace, upstream, hold in self.tools:
            if namespace in (None, namespace_id) and upstream in (None, upstream_id):
                found[name] = (*found.get(name, ()), hold)
        return found


def first(holds: Iterable[Hold], now: float) -> Hold | None:
    """Return the first that is in force at `now`, seconds since 1970."""
    return next((hold for hold in holds if hold.is_in_force(now)), None)
