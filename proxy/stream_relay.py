"""An upstream's event stream on its way to the client: event by event, the answer recorded before it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from namespaces.sse import Event, EventReader, EventTooLarge
from proxy import filtering
from proxy.errors import UpstreamFailed
from proxy.event_stream import EventStream
from proxy.response import ResponseDesk, is_response, outcome_of, read_message
from proxy.sessions import sign_event_id
from proxy.upstream import UpstreamAnswer

DRAIN_S = 0.25
# Of a chunk that brings much at once, what is worked through before other calls have their turn: one read can bring
# thousands of small events.
TURN_BYTES = 16 * 1024


class StreamRelay:
    """Carries one event stream: that of a request, which ends with its response, or a standing one (GET)."""

    def __init__(self, desk: ResponseDesk, answer: UpstreamAnswer) -> None:
        self.desk = desk
        self.answer = answer
        self.exchange = desk.exchange
        self._finished = False
        self._resumable = False

    async def request(self) -> None:
        """Relay the stream that answers a request, up to its response."""
        exchange = self.exchange
        listening = self.desk.method == "subscriptions/listen"
        if listening:
            exchange.record_opening(200)
        with exchange.runtime.streams.hold(exchange, listening):
            stream = await exchange.begin_stream(self.desk.headers)
            async for events in self._events():
                await self._relay(events, stream)
                if self._finished:
                    await stream.end()
                    await self.answer.drain(DRAIN_S)
                    return
            self._conclude_unanswered(listening)
            await stream.end()

    async def _relay(self, events: list[Event], stream: EventStream) -> None:
        pending: list[bytes] = []
        for event in events:
            data = self._request_event(event)
            if data is not None:
                pending.append(data)
            if self._finished:
                break
            self.exchange.record.response_bytes += len(data or b"")
        if pending:
            await stream.push(b"".join(pending))

    def _conclude_unanswered(self, listening: bool) -> None:
        """Record a stream that ended without a response: fine for a listener, and where the client can resume."""
        if listening:
            self.exchange.conclude(200, "ok", "closed")
        elif self._resumable:
            # 2025-11-25: the server may close early; the client comes back with GET and Last-Event-ID.
            self.exchange.conclude(200, "ok", "stream_resumable")
        else:
            raise UpstreamFailed("The upstream's stream ended without an answer.", reason="answer_missing")

    async def standing(self) -> None:
        """Relay a GET stream until one side ends it."""
        exchange = self.exchange
        exchange.record_opening(200)
        with exchange.runtime.streams.hold(exchange):
            stream = await exchange.begin_stream()
            async for events in self._events():
                data = b"".join([piece for event in events if (piece := self._standing_event(event)) is not None])
                if data:
                    exchange.record.response_bytes += len(data)
                    await stream.push(data)
            exchange.conclude(200, "ok", "closed")
            await stream.end()

    async def collapse(self) -> tuple[dict[str, Any], bytes]:
        """Read a stream for a client that takes none (A.1); return its response, decoded and as bytes."""
        async for events in self._events():
            for event in events:
                value = read_message(event.data) if event.data else None
                if value is not None and self.desk.answers(value):
                    return value, event.data or b""
                if value is not None and value.get("method") == "notifications/progress":
                    self._note_progress()
        raise UpstreamFailed("The upstream's stream ended without an answer.", reason="answer_missing")

    async def _events(self) -> AsyncIterator[list[Event]]:
        """Yield the events as they come. Raises UpstreamFailed when one of them, or all together, are too large."""
        exchange = self.exchange
        reader = EventReader(exchange.runtime.limits.max_event_bytes)
        left = self.desk.upstream.max_response_bytes
        async for chunk in self.answer.chunks():
            if exchange.deadline is not None:
                exchange.deadline.touch()
            left -= len(chunk)
            if left < 0 and not exchange.long_lived:
                raise UpstreamFailed("The upstream's answer is too large.", reason="answer_too_large")
            for start in range(0, len(chunk), TURN_BYTES):
                if start:
                    await asyncio.sleep(0)
                try:
                    events = reader.feed(chunk[start : start + TURN_BYTES])
                except EventTooLarge:
                    raise UpstreamFailed("An event of the upstream's is too large.", reason="event_too_large") from None
                if events:
                    yield events

    def _request_event(self, event: Event) -> bytes | None:
        """Return one event of a request's stream as it goes to the client; None to drop it. Records the response."""
        self._bind_id(event)
        if not event.data:
            return _without_data(event)
        value = read_message(event.data)
        if not is_response(value):
            if value.get("method") == "notifications/subscriptions/acknowledged":
                self._note_granted(value)
            elif value.get("method") == "notifications/progress":
                self._note_progress()
            return event.encode() if self._may_pass(value) else None
        if not self.desk.answers(value):
            return None
        event.data = self.desk.prepare(value, event.data)
        self._finished = True
        outcome, code = outcome_of(value)
        encoded = event.encode()
        self.exchange.conclude(200, outcome, code=code, size=len(encoded))
        return encoded

    def _note_progress(self) -> None:
        """Put the call's total deadline off, where the namespace wants that."""
        access, deadline = self.exchange.access, self.exchange.deadline
        if access is not None and access.namespace.progress_extends_total and deadline is not None:
            deadline.extend()

    def _note_granted(self, value: dict[str, Any]) -> None:
        params = value.get("params")
        granted = params.get("notifications") if isinstance(params, dict) else None
        if isinstance(granted, dict):
            self.exchange.granted = granted

    def _standing_event(self, event: Event) -> bytes | None:
        """Return one event of a GET stream as it goes to the client; None to drop it."""
        self._bind_id(event)
        if not event.data:
            return _without_data(event)
        value = read_message(event.data)
        if is_response(value):
            # The answer to an earlier request, on a resumed stream: which one it was shows in its result.
            if b"last-event-id" not in self.exchange.head.values:
                return None
            self._filter_resumed(value.get("result"), event)
        elif not self._may_pass(value):
            return None
        return event.encode()

    def _filter_resumed(self, result: Any, event: Event) -> None:
        if not self.desk.view.restricted or not isinstance(result, dict) or event.data is None:
            return
        for method, (member, _, _) in filtering.LISTS.items():
            if member in result and filtering.changes(self.desk.view, method):
                event.data = self.desk.filtered(method, event.data, result)

    def _bind_id(self, event: Event) -> None:
        """Bind an event's id to the session, so that no other can resume from it; the modern era has no ids."""
        if event.id is None:
            return
        if self.exchange.modern or self.desk.rewrites:
            event.id = event.retry = None
        elif event.id:
            session = self.exchange.session or self.desk.bind("", "")
            event.id = sign_event_id(session, event.id.decode("latin-1")).encode("latin-1")
            self._resumable = True

    def _may_pass(self, value: dict[str, Any]) -> bool:
        """Return whether a notification or request of the upstream's goes to the client."""
        method = value.get("method")
        if not isinstance(method, str) or "result" in value or "error" in value:
            return False
        if "id" in value:
            # Requests to the client: legacy sessions only, whose client can post its reply.
            return not self.exchange.modern and not self.desk.rewrites
        if method == "notifications/resources/updated" and self.desk.view.restricts["resource"]:
            params = value.get("params")
            uri = params.get("uri") if isinstance(params, dict) else None
            return isinstance(uri, str) and self.desk.view.allows("resource", uri)
        return True


def _without_data(event: Event) -> bytes | None:
    """Return an event without data: it moves the client's last event id or its pause to reconnect, and nothing else."""
    event.name = None
    return event.encode() if event.id is not None or event.retry is not None else None
