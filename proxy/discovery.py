"""What upstreams list, as this process learns it: from every list that passes through, or by asking itself."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from proxy import filtering
from proxy.bare import GATEWAY_ITSELF
from proxy.control_answer import read_response
from proxy.errors import UpstreamFailed
from proxy.jsonrpc import Message

if TYPE_CHECKING:
    from proxy.entries import UpstreamEntry
    from proxy.runtime import Runtime

logger = logging.getLogger(__name__)
# A list that was just looked at is not asked for again for the sake of a name that it does not hold.
FRESH_S = 2.0
MAX_PAGES = 100
MAX_ENTRIES = 10_000
QUEUE_LENGTH = 200
Store = Callable[[int, str, list[dict[str, Any]], bool], int]
_LIST_OF = {
    "tool": ("tools/list",),
    "prompt": ("prompts/list",),
    "resource": ("resources/list", "resources/templates/list"),
    "template": ("resources/templates/list",),
}


class Discovery:
    """Keeps the process's catalogues current and hands what is new to `store`, in a thread, off the hot path."""

    def __init__(self, runtime: Runtime, store: Store) -> None:
        self._runtime = runtime
        self._store = store
        self._queue: asyncio.Queue[tuple[int, str, list[dict[str, Any]], bool]] = asyncio.Queue(QUEUE_LENGTH)
        self._seen: dict[tuple[int, str], int] = {}
        self._looked: dict[tuple[int, str], float] = {}
        self._flights: dict[tuple[int, str], asyncio.Future[None]] = {}

    def learn(
        self, upstream: UpstreamEntry, method: str, params: dict[str, Any], result: dict[str, Any], raw: bytes
    ) -> None:
        """Take in a list result that passed through; `raw` are its bytes. Cheap when it passed just so before."""
        member, kind, name_in = filtering.LISTS[method]
        items = result.get(member)
        if not isinstance(items, list):
            return
        complete = "cursor" not in params and "nextCursor" not in result
        fingerprint = hash((raw, complete))
        if self._seen.get((upstream.id, kind)) == fingerprint:
            return
        entries = [entry for entry in items if isinstance(entry, dict) and isinstance(entry.get(name_in), str)]
        upstream.catalogue.learn(kind, {entry[name_in]: entry for entry in entries}, complete)
        if complete:
            self._seen[upstream.id, kind] = fingerprint
        try:
            self._queue.put_nowait((upstream.id, kind, entries, complete))
        except asyncio.QueueFull:
            self._seen.pop((upstream.id, kind), None)

    async def look(self, upstream: UpstreamEntry, kind: str) -> None:
        """Ask the upstream for its list of a kind, unless that was done a moment ago. Single flight.

        Raises GatewayError when the upstream cannot be asked: nothing is decided on a guess.
        """
        key = (upstream.id, kind)
        if self._runtime.clock() - self._looked.get(key, -FRESH_S) < FRESH_S:
            return
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(self._look(upstream, kind))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        await asyncio.shield(flight)

    def _landed(self, key: tuple[int, str], flight: asyncio.Future[None]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled():
            flight.exception()  # seen here, so that a failure with nobody waiting is no warning

    async def _look(self, upstream: UpstreamEntry, kind: str) -> None:
        try:
            async with asyncio.timeout(min(30.0, upstream.deadlines.total_s)):
                for method in _LIST_OF[kind]:
                    await self._list(upstream, method)
        except TimeoutError:
            raise UpstreamFailed("The upstream did not list its entries in time.", reason="list_timeout") from None
        self._looked[upstream.id, kind] = self._runtime.clock()

    async def _list(self, upstream: UpstreamEntry, method: str) -> None:
        state = self._runtime.upstream_state(upstream)
        member = filtering.LISTS[method][0]
        items: list[Any] = []
        params: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": method, "params": params}).encode()
            answer, _ = await state.call(GATEWAY_ITSELF, Message("request", body, 0, method, params))
            try:
                value = await read_response(answer)
            finally:
                answer.close()
            result = value.get("result") if isinstance(value, dict) else None
            if not isinstance(result, dict):
                if isinstance(value, dict) and isinstance(value.get("error"), dict):
                    break  # a server without this kind has an empty list of it
                raise UpstreamFailed("The upstream did not list its entries.", reason="list_failed")
            page = result.get(member)
            items.extend(page if isinstance(page, list) else [])
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str) or cursor == params.get("cursor") or len(items) > MAX_ENTRIES:
                break
            params = {"cursor": cursor}
        self.learn(upstream, method, {}, {member: items}, json.dumps(items).encode())

    async def run(self) -> None:
        """Store what was learnt, one list at a time, until cancelled."""
        while True:
            upstream_id, kind, entries, complete = await self._queue.get()
            try:
                await self._runtime.in_thread(lambda: self._store(upstream_id, kind, entries, complete))  # noqa: B023
            except Exception as error:
                self._seen.pop((upstream_id, kind), None)
                logger.warning("a catalogue could not be stored: %s", type(error).__name__)
