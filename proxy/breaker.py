"""The circuit breaker of an upstream: calls to one that is down are refused at once instead of waiting for it (C.23).

Closed: calls pass; so many failures in a row open it. Open: refused until its time is over or a check of `maintain`
passes. Half-open: a few probes pass; all of them good close it, a bad one opens it again. The workers of a host share
the state. What the client did, what the upstream refused (4xx) and JSON-RPC errors are no failures.
"""

from __future__ import annotations

from dataclasses import dataclass

from namespaces.circuits import Circuit, CircuitTable
from proxy.errors import Unavailable

# Reasons for which the upstream is to blame, beside its own HTTP 5xx.
FAILURES = frozenset(
    (
        *("upstream_unreachable", "upstream_dns", "upstream_tls", "connect_timeout"),
        *("first_byte_timeout", "session_timeout", "list_timeout"),
        *("upstream_closed", "upstream_broken", "upstream_status_invalid", "upstream_encoding"),
        *("answer_missing", "answer_id", "answer_invalid", "answer_type"),
    )
)
# How long a half-open circuit refuses calls while all of its probes are under way.
PROBING_S = 1.0


@dataclass(frozen=True, slots=True)
class Breaking:
    """When a circuit opens (`threshold` failures in a row), for how long, and how many `probes` close it again."""

    threshold: int
    recovery_s: float
    probes: int


class Breaker:
    """One upstream's breaker. Every `now` is seconds of the monotonic clock.

    A permit is what `enter` gave: 0 while closed, else the number of the half-open phase whose probe the call is. It
    is handed back once, by `succeeded`, `failed` or `withdrawn`.
    """

    __slots__ = ("_breaking", "_number", "_table")

    def __init__(self, table: CircuitTable, upstream_id: int, breaking: Breaking) -> None:
        self._table = table
        self._number = upstream_id
        self._breaking = breaking

    def refuses_s(self, now: float) -> float:
        """Return for how many seconds calls are refused; 0 while one may pass."""
        if not self._table.opened_at(self._number):
            return 0.0
        row = self._table.read(self._number)
        return self._wait_s(row, now) if 0 < row.opened_at <= now else 0.0

    def check(self, now: float) -> None:
        """Raise Unavailable if a call would be refused now."""
        if (wait_s := self.refuses_s(now)) > 0:
            raise _refusal(wait_s)

    def enter(self, now: float) -> int:
        """Return a permit. Raises Unavailable (`circuit_open`) when there is none."""
        if not self._table.opened_at(self._number):
            return 0
        with self._table.changing(self._number) as row:
            if row.opened_at > now:  # from before the machine started anew
                _close(row)
            if not row.opened_at:
                return 0
            if (wait_s := self._wait_s(row, now)) > 0:
                raise _refusal(wait_s)
            if not row.half_open or row.granted >= self._breaking.probes:
                _half_open(row)
            row.granted += 1
            row.granted_at = now
            return row.phase

    def _wait_s(self, row: Circuit, now: float) -> float:
        """Return how long calls are still refused; 0: the next one may go."""
        if not row.half_open:
            return row.retry_at - now
        if row.granted < self._breaking.probes:
            return 0.0
        # Probes that never come back died with their worker; after a while others go.
        lost = now - row.granted_at > self._breaking.recovery_s
        return 0.0 if lost else PROBING_S

    def succeeded(self, permit: int) -> None:
        """The upstream did its part."""
        if not permit and not self._table.failures(self._number):
            return
        with self._table.changing(self._number) as row:
            if not permit:
                if not row.opened_at:
                    row.failures = 0
            elif row.half_open and row.phase == permit:
                row.succeeded += 1
                if row.succeeded >= self._breaking.probes:
                    _close(row)

    def failed(self, permit: int, now: float) -> None:
        """The upstream is to blame for how the call ended."""
        with self._table.changing(self._number) as row:
            if not permit and not row.opened_at:
                row.failures = min(row.failures + 1, 0xFFFF)
                if row.failures < self._breaking.threshold:
                    return
            elif not (permit and row.half_open and row.phase == permit):
                return  # a call from before: the circuit is open by now, or another phase has begun
            row.opened_at, row.retry_at, row.half_open = now, now + self._breaking.recovery_s, 0

    def withdrawn(self, permit: int) -> None:
        """The call ended without telling anything of the upstream; its probe may go to another."""
        if permit:
            with self._table.changing(self._number) as row:
                if row.half_open and row.phase == permit and row.granted:
                    row.granted -= 1

    def heed(self, notice: int) -> None:
        """Let probes pass at once: a check found the upstream well. `notice` names the check; it counts once a host."""
        if self._table.opened_at(self._number):
            with self._table.changing(self._number) as row:
                if row.opened_at and not row.half_open and row.notice != notice:
                    row.notice = notice
                    _half_open(row)


def _half_open(row: Circuit) -> None:
    row.half_open, row.granted, row.succeeded = 1, 0, 0
    row.phase = row.phase % 0xFFFFFFFF + 1


def _close(row: Circuit) -> None:
    row.opened_at, row.half_open, row.failures = 0.0, 0, 0


def _refusal(wait_s: float) -> Unavailable:
    return Unavailable(
        "The upstream has failed again and again, so it is left alone for a while; try again later.",
        reason="circuit_open",
        retry_after_s=max(1, -int(-wait_s // 1)),
        data={"retryAfterMs": int(wait_s * 1000) + 1},
    )
