"""Decides calls: on this host's counts alone or, where several hosts share a Redis, on that of all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.errors import Unavailable
from proxy.fallbacks import Fallbacks
from proxy.limits.limit import Limit, Verdict

if TYPE_CHECKING:
    from proxy.limits.shared import SharedCounts
    from proxy.limits.table import LimitTable

_REFUSALS = 10_000


class Limiter:
    """The limits of one process. `shared` is None where the counts of the host are all there is.

    With `shared`, the host's own counts are kept as well: they refuse first, without a question to Redis, and
    when Redis is away they go on from what this host has let in. `closed`: calls are refused then instead.
    `fallbacks` counts both.
    """

    def __init__(
        self,
        table: LimitTable,
        shared: SharedCounts | None = None,
        *,
        closed: bool = False,
        fallbacks: Fallbacks | None = None,
    ) -> None:
        self._table = table
        self.shared = shared
        self._closed = closed
        self.fallbacks = fallbacks or Fallbacks("redis")
        self.admit = table.admit
        # Refused by Redis, and until when that holds for certain: counts only fall with time.
        self._refusals: dict[int, tuple[Limit, float, float]] = {}

    async def run(self) -> None:
        """Keep the connection to the shared counts until cancelled."""
        if self.shared is not None:
            await self.shared.run(self.fallbacks)

    async def settle(self) -> None:
        """Wait until it is known whether Redis answers, so that the first calls of a process count with the others."""
        if self.shared is not None:
            await self.shared.tried.wait()

    async def admit_shared(self, limits: Sequence[Limit]) -> Verdict:
        """Count one call against all `limits` on all hosts if it fits every one of them, and against none if not.

        Raises Unavailable (`limiter_down`) when Redis does not answer and the setting says closed.
        """
        assert self.shared is not None  # noqa: S101
        verdict = self._known_refusal(limits) or self._table.look(limits)
        if not verdict.admitted:
            return verdict
        shared = await self.shared.ask(limits) if self.shared.up else None
        if shared is None:
            return self._without(limits)
        if shared.admitted:
            self._table.record(limits)
        else:
            self._remember(shared)
        return shared

    def _without(self, limits: Sequence[Limit]) -> Verdict:
        if self._closed:
            self.fallbacks.note_refused()
            raise Unavailable(
                "The gateway cannot count calls now, and lets none pass that has a limit; try again.",
                reason="limiter_down",
            )
        self.fallbacks.note_alone()
        return self._table.admit(limits)

    def _known_refusal(self, limits: Sequence[Limit]) -> Verdict | None:
        if not self._refusals:
            return None
        now = time.monotonic()
        for limit in limits:
            found = self._refusals.get(limit.digest)
            if found is None:
                continue
            refused, full_at, until = found
            # A limit that was edited is another object, and asks anew.
            if refused is limit and until > now:
                return Verdict(limit, False, 0, full_at - now, until - now)
            del self._refusals[limit.digest]
        return None

    def _remember(self, verdict: Verdict) -> None:
        if len(self._refusals) >= _REFUSALS:
            self._refusals.clear()
        now = time.monotonic()
        self._refusals[verdict.limit.digest] = (verdict.limit, now + verdict.reset_s, now + verdict.retry_s)

    def close(self) -> None:
        """Give the table back."""
        self._table.close()
