"""One call in flight: what is known of it so far, its deadlines, its answer, and its line in the record."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from analytics.record import RequestRecord
from namespaces.sse import Event
from proxy.admission import report
from proxy.deadline import UpstreamDeadline
from proxy.endings import ClientGone
from proxy.errors import GatewayError
from proxy.event_stream import STREAM_HEADERS, EventStream
from proxy.head import Head
from proxy.jsonrpc import META_CLIENT, Message, error_body

if TYPE_CHECKING:
    from proxy.breaker import Breaker
    from proxy.entries import Access, Cap, KeyEntry
    from proxy.quotas.budget import Budget
    from proxy.runtime import Runtime
    from proxy.sessions import Session

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Headers = Sequence[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")


def _new_id() -> str:
    """Return 32 random hex digits. They name a call and prove nothing, so the fast generator will do."""
    return f"{random.getrandbits(128):032x}"


class Exchange:
    """The state of one HTTP request. Everything the stages learn is written here, and recorded once.

    `connection` is the client's, where the server is our own (`gateway_project.server`); None under any other.
    """

    # Defaults that most calls never change; they are not assigned anew at each.
    access: Access | None = None
    key: KeyEntry | None = None
    message: Message | None = None
    session: Session | None = None
    modern = False
    long_lived = False
    cors: Headers = ()
    limit_headers: Headers = ()
    quotas: Sequence[Budget] = ()  # that this call was taken from, and that its answer's bytes count against
    response_started = False
    cause: Exception | None = None
    deadline: UpstreamDeadline | None = None
    stream: EventStream | None = None
    breaker: Breaker | None = None
    permit: int | None = None  # of the breaker, until it is known how the upstream did
    upstream_status: int | None = None
    attempts = 1
    places: tuple[Cap, ...] = ()  # whose places this call has taken
    granted: Mapping[str, object] = MappingProxyType({})  # what a listen stream's upstream has acknowledged
    _recorded = False
    _charged = 0
    _watch: asyncio.Task[None] | None = None

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        self.runtime = runtime
        self.scope = scope
        self.receive = receive
        self.send = send
        self._started = runtime.clock()
        self.head = head = Head(scope["headers"])
        client = scope.get("client")
        identifier = _new_id()
        # Keywords would cost more than the record itself.
        self.record = record = RequestRecord(identifier, time.time())
        record.method = scope["method"]
        record.request_id = head.request_id() or identifier
        if client:
            record.client_address = client[0]
        self._task = asyncio.current_task(runtime.loop)
        extensions = scope.get("extensions")
        self.connection = extensions.get("gateway.connection") if extensions else None
        if self.connection is not None:
            self.connection.on_disconnect = self.client_left

    # -- the client's side: its leaving --

    def watch_client(self) -> None:
        """Learn of the client's leaving where the server has no callback for it (any server but our own)."""
        if self.connection is None:
            self._watch = asyncio.create_task(self._wait_for_disconnect())

    def release_client(self) -> None:
        """Work on though the client leaves: a notification (a cancellation, say) has arrived and counts."""
        if self.connection is not None:
            self.connection.on_disconnect = None

    async def _wait_for_disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.client_left()

    def client_left(self) -> None:
        """The client closed its connection: stop the work, and with it the upstream's."""
        stalled = getattr(self.connection, "stalled", False)
        self.abort(ClientGone("client_stalled") if stalled else ClientGone())

    def abort(self, cause: Exception) -> None:
        """Stop the work for `cause`; the first cause counts."""
        if self.cause is None and self._task is not None:
            self.cause = cause
            self._task.cancel()

    def drop_stalled(self) -> None:
        """The client has read nothing for so long that it is taken for gone."""
        self.abort(ClientGone("client_stalled"))
        self.cut()

    def cut(self) -> None:
        """Close the client's connection without a word more."""
        if self.connection is not None:
            self.connection.transport.abort()

    def settle(self) -> None:
        """Take back the cancellation that `abort` asked for, once it has been caught."""
        if self._task is not None:
            self._task.uncancel()

    # -- the upstream's side --

    def answered(self, status: int) -> None:
        """The upstream's answer began, with this HTTP status."""
        assert self.deadline is not None  # noqa: S101
        self.upstream_status = status
        self.deadline.answered()

    def disarm(self) -> None:
        """Stop timers and watchers and give places back; the call is over."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None  # each refers to the other; the pair would wait for the garbage collector
        if self.stream is not None:
            self.stream.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self.connection is not None:
            self.connection.on_disconnect = None
        for cap in self.places:
            self.runtime.concurrency.give_back(cap)

    # -- the record --

    def identify(self, key: KeyEntry) -> None:
        """The caller is known from here on."""
        self.key = key
        record = self.record
        record.key_id, record.user_id = key.id, key.user_id
        record.auth_us = int((self.runtime.clock() - self._started) * 1e6)

    def describe(self, message: Message) -> None:
        """Note for the record what is being called, and by which client."""
        self.message = message
        record = self.record
        record.method = message.method or "response"
        record.tool = message.name
        if message.method == "initialize":
            client = message.params.get("clientInfo")
        elif not message.meta:
            return
        else:
            client = message.meta.get(META_CLIENT)
        if isinstance(client, dict) and isinstance(client.get("name"), str):
            version = client.get("version")
            record.client_name = f"{client['name'][:48]}/{version[:15]}" if isinstance(version, str) else client["name"]

    def conclude(
        self, status: int, outcome: str, reason: str | None = None, code: int | None = None, size: int = 0
    ) -> None:
        """Write the record: before the bytes that hold the answer are handed to the server. Later calls do nothing."""
        if self._recorded:
            return
        self._recorded = True
        if self.permit is not None:
            report(self, outcome, reason)
        if self.attempts > 1 and reason is None:
            reason = "retried"
        record = self.record
        record.http_status, record.outcome, record.reason, record.jsonrpc_code = status, outcome, reason, code
        record.response_bytes += size
        now = self.runtime.clock()
        record.total_us = int((now - self._started) * 1e6)
        deadline = self.deadline
        if deadline is not None:
            # The upstream's work begins when rules and limits have let the call pass.
            record.limit_us = int((deadline.begun - self._started) * 1e6)
            record.upstream_us = int((now - deadline.begun) * 1e6)
            if deadline.first_byte is not None:
                record.first_byte_us = int((deadline.first_byte - deadline.begun) * 1e6)
        if self.quotas:
            self.runtime.quotas.charge(self.quotas, record.response_bytes - self._charged)
            self._charged = record.response_bytes
        self.runtime.write(self)

    def return_quotas(self) -> None:
        """Give back what this call was taken from: a limit has refused it."""
        if self.quotas:
            self.runtime.quotas.give_back(self.quotas)
            self.quotas = ()

    def record_opening(self, status: int) -> None:
        """Write the first of a long stream's two rows; `conclude` writes the second."""
        self.long_lived = True
        self.conclude(status, "ok", "opened")
        self._recorded = False
        self.record = replace(self.record, id=_new_id())

    # -- the answer --

    def _head(self, *headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """Return the headers of an answer that begins now."""
        self.response_started = True
        elapsed = (self.runtime.clock() - self._started) * 1000
        return [
            *headers,
            (b"x-request-id", (self.record.request_id or "").encode()),
            (b"x-response-time-ms", b"%.2f" % elapsed),
            *self.limit_headers,
            *self.cors,
        ]

    async def reply(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Send a whole answer; `conclude` was called before."""
        length = (b"content-length", b"%d" % len(body))
        head = self._head(JSON_TYPE, length, *headers) if body else self._head(length, *headers)
        if self.connection is not None and self.connection.respond(status, head, body):
            return
        await self.send({"type": "http.response.start", "status": status, "headers": head})
        await self.send({"type": "http.response.body", "body": body})

    async def begin_stream(self, headers: Headers = ()) -> EventStream:
        """Send the head of an event stream at once and return the stream."""
        head = self._head(*STREAM_HEADERS, *headers)
        await self.send({"type": "http.response.start", "status": 200, "headers": head})
        # The head leaves only with the first bytes of the body: a stream that is silent at first must be open too.
        await self.send({"type": "http.response.body", "body": b"", "more_body": True})
        self.stream = EventStream(self)
        return self.stream

    async def refuse(self, error: GatewayError) -> None:
        """Give the gateway's own answer: the one place that turns an error into HTTP and JSON-RPC."""
        identifier = self.message.id if self.message is not None and self.message.kind == "request" else None
        if identifier is None:
            identifier = getattr(error, "request_id", None)
        data = dict(error.data or {})
        if error.shows_reason:
            data["reason"] = error.shown_reason or error.reason
            data["requestId"] = self.record.request_id
            if self.attempts > 1:
                data["attempts"] = self.attempts
        if error.answered is not None:
            self.upstream_status = error.answered
        body = error_body(identifier, error.code, error.message, data)
        if self.response_started:
            await self._refuse_in_stream(error, body)
            return
        self.conclude(error.status, error.outcome, error.reason, error.code, len(body))
        if self.scope["method"] == "HEAD":
            body = b""
        if error.status == 200 and self.message is not None and not self.head.accepts_json:
            stream = await self.begin_stream()
            await stream.push(Event(body).encode())
            await stream.end()
            return
        await self.reply(error.status, body, error.headers)

    async def _refuse_in_stream(self, error: GatewayError, body: bytes) -> None:
        self.conclude(200, error.outcome, error.reason, error.code, len(body))
        if self.stream is None:
            return
        answers = not self.long_lived and self.message is not None and self.message.kind == "request"
        await self.stream.finish(Event(body).encode() if answers else b"")
