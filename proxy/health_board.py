"""How the upstreams are, for `/readyz`: read when asked for, kept for a moment, and kept on while Postgres is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from namespaces.health import Health, published

KEPT_S = 2.0
PATIENCE_S = 2.0
Reader = Callable[[], Mapping[str, str]]


class HealthBoard:
    """The health of each published upstream by slug. However many ask at once, the database is asked once."""

    def __init__(
        self,
        in_thread: Callable[[Reader], Awaitable[Mapping[str, str]]],
        clock: Callable[[], float],
        read: Reader = published,
    ) -> None:
        self._in_thread, self._clock, self._read = in_thread, clock, read
        self._known: Mapping[str, str] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def health(self) -> Mapping[str, str]:
        """Return what is known, at most KEPT_S old while the database answers."""
        if self._clock() - self._read_at > KEPT_S:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._refresh())
            await asyncio.wait([self._reading], timeout=PATIENCE_S)
        return self._known

    async def _refresh(self) -> None:
        try:
            self._known = await self._in_thread(self._read)
        except Exception:
            # Stale is better than none; that the database is away is said elsewhere.
            return
        finally:
            self._read_at = self._clock()


def is_degraded(health: Mapping[str, str]) -> bool:
    """Return whether an upstream is known to be less than well."""
    return any(one in (Health.OFFLINE, Health.DEGRADED) for one in health.values())
