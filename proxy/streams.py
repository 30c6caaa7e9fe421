"""The event streams that are open in this process: counted by key, ended or told when a right changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from namespaces import networks
from proxy.brakes import Hold, first
from proxy.endings import StreamEnded
from proxy.errors import Limited, Unauthenticated
from proxy.exchange import Exchange
from proxy.list_changes import notices
from proxy.stream_counts import StreamCounts

if TYPE_CHECKING:
    from proxy.entries import Access, KeyEntry
    from proxy.snapshot import Snapshot


def _withdrawn(exchange: Exchange) -> Exception:
    """Return why a stream ends: a standing one just ends, an answer in progress becomes an error."""
    if exchange.long_lived:
        return StreamEnded("access_withdrawn")
    return Unauthenticated("This key may no longer be used here.", reason="access_withdrawn")


def _is_elsewhere(exchange: Exchange, key: KeyEntry, access: Access) -> bool:
    """Return whether the allow list of the key or the namespace does not hold the client's address."""
    lists = [listed for listed in (key.networks, access.namespace.networks) if listed is not None]
    if not lists:
        return False
    peer = networks.address(exchange.record.client_address)
    return not all(networks.holds(listed, peer) for listed in lists)


def _held(exchange: Exchange, access: Access, now: float) -> Hold | None:
    """Return the quarantine that stops a stream, if there is one."""
    message = exchange.message
    tool = message.name if message is not None and message.method == "tools/call" else None
    return first((*access.holds, *access.held_tools.get(tool or "", ())), now)


class Streams:
    """A register of open streams. `cap` bounds the standing ones (GET, listen) of one key over all workers."""

    def __init__(self, cap: int, counts: StreamCounts) -> None:
        self._cap = cap
        self._counts = counts
        self._open: set[Exchange] = set()
        self._telling: set[asyncio.Task[None]] = set()

    def check(self, key_id: int) -> None:
        """Raise Limited when the key has as many standing streams open as it may."""
        if self._counts.total(key_id) >= self._cap:
            raise Limited(
                f"This key has {self._cap} streams open (GATEWAY_STREAMS_PER_KEY); close one first.",
                reason="streams_exhausted",
                headers=((b"retry-after", b"1"),),
            )

    @contextmanager
    def hold(self, exchange: Exchange, standing: bool = True) -> Iterator[None]:
        """Keep a stream in the register while it is open."""
        key_id = exchange.key.id if exchange.key is not None else 0
        self._open.add(exchange)
        if standing:
            self._counts.add(key_id, 1)
        try:
            yield
        finally:
            self._open.discard(exchange)
            if standing:
                self._counts.add(key_id, -1)

    def end_standing(self, reason: str) -> None:
        """End the streams that would never end by themselves; answers in progress go on."""
        for exchange in list(self._open):
            if exchange.long_lived:
                exchange.abort(StreamEnded(reason))

    def end_withdrawn(self, snapshot: Snapshot, now: float) -> None:
        """End every stream whose key or namespace may no longer be used, or not from there, or is quarantined.

        Args: now: seconds since 1970.
        """
        for exchange in list(self._open):
            if exchange.key is None or exchange.access is None:
                continue
            key = snapshot.keys.get(exchange.key.id)
            expired = key is None or (key.expires_at is not None and now >= key.expires_at)
            access = None if expired or key is None else snapshot.access(key, exchange.access.namespace.slug)
            if access is None or key is None or _is_elsewhere(exchange, key, access):
                exchange.abort(_withdrawn(exchange))
            elif (access.holds or access.held_tools) and (hold := _held(exchange, access, now)) is not None:
                exchange.abort(StreamEnded(hold.code) if exchange.long_lived else hold.refusal(now))

    def review(self, snapshot: Snapshot) -> None:
        """Hold every open stream against new rules from now on, and tell the standing ones that lists changed."""
        for exchange in list(self._open):
            if exchange.key is None or exchange.access is None or exchange.cause is not None:
                continue
            access = snapshot.access(exchange.key, exchange.access.namespace.slug)
            if access is None or access.view.rules == exchange.access.view.rules:
                continue
            exchange.access = access
            if exchange.long_lived and exchange.stream is not None and (told := notices(exchange)):
                task = asyncio.ensure_future(exchange.stream.push(told))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

    def sessions(self) -> Iterator[str]:
        """Yield the sessions that the open streams belong to, by their digests."""
        for exchange in self._open:
            if exchange.record.session is not None:
                yield exchange.record.session

    @property
    def count(self) -> int:
        """How many streams are open."""
        return len(self._open)

    def close(self) -> None:
        """Give the counts back."""
        self._counts.close()
