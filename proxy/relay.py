"""An upstream's answer on its way to the client: checked, filtered, recorded, passed on as it comes."""

from __future__ import annotations

import re
from typing import Any

from proxy import filtering
from proxy.errors import INTERNAL_ERROR, INVALID_REQUEST, GatewayError, UpstreamFailed
from proxy.exchange import Exchange
from proxy.jsonrpc import error_body, read_json
from proxy.sessions import MAX_UPSTREAM_ID, sign_event_id
from proxy.sse import Event, EventReader, EventTooLarge
from proxy.upstream import UpstreamAnswer

_JSON = re.compile(r"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?;?", re.IGNORECASE)
_STREAM = re.compile(r"text/event-stream\s*(;.*)?", re.IGNORECASE)
_VISIBLE = re.compile(r"[\x21-\x7e]+")
DRAIN_S = 0.25
MAX_ERROR_TEXT = 4000
# Upstream statuses that mean the same from the gateway; every other failure of the upstream's is a 502.
_KEPT_STATUSES = frozenset((400, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415, 416, 422, 429, 503))


class Relay:
    """Carries one answer. `expected` is the id that it must bear; `rewrites` says that the client's own id differs."""

    def __init__(self, exchange: Exchange, answer: UpstreamAnswer, expected: str | int | None = None) -> None:
        self.exchange = exchange
        self.answer = answer
        message = exchange.message
        self.method = message.method if message is not None else ""
        self.client_id = message.id if message is not None else None
        self.expected = self.client_id if expected is None else expected
        self.rewrites = expected is not None
        access = exchange.access
        assert access is not None and access.namespace.upstream is not None  # noqa: S101
        self.view = access.view
        self.upstream = access.namespace.upstream
        self.extra_headers: tuple[tuple[bytes, bytes], ...] = ()
        self._finished = False
        self._resumable = False

    # -- entry points --

    async def request(self) -> None:
        """Relay the answer to a request: JSON, an event stream, or an error."""
        answer = self.answer
        kind = answer.headers.get("Content-Type", "").strip()
        if answer.status == 200 and _STREAM.fullmatch(kind):
            self._note_session()
            if self.exchange.head.accepts()[1]:
                await self._relay_stream()
            else:
                await self._collapse_stream()
            return
        self._refuse_status()
        body = await answer.read(self.upstream.max_response_bytes)
        if not _JSON.fullmatch(kind):
            if answer.status == 200:
                raise UpstreamFailed("The upstream's answer is neither JSON nor an event stream.", reason="answer_type")
            raise self._status_error()
        try:
            value = read_json(body)
        except (ValueError, RecursionError):
            if answer.status != 200:
                raise self._status_error() from None
            raise UpstreamFailed("The upstream's answer is not valid JSON.", reason="answer_invalid") from None
        self._note_session()
        if answer.status == 200:
            await self._pass_json(self._checked(value, body))
        else:
            await self._pass_error(value, body)

    async def acknowledgement(self) -> None:
        """Relay the answer to a notification or to a client's response: 202, or the upstream's refusal."""
        self._refuse_status()
        if self.answer.status in (200, 202, 204):
            await self.answer.drain(DRAIN_S)
            self.exchange.conclude(202, "ok")
            await self.exchange.reply(202, b"")
            return
        raise self._status_error()

    async def deletion(self) -> None:
        """Relay the answer to a DELETE: the session is over, or the upstream keeps no such thing (405)."""
        self._refuse_status()
        status = self.answer.status
        await self.answer.drain(DRAIN_S)
        if status in (200, 202, 204):
            self.exchange.conclude(status, "ok")
            await self.exchange.reply(status, b"")
            return
        raise self._status_error()

    async def standing_stream(self) -> None:
        """Relay a GET stream until one side ends it."""
        kind = self.answer.headers.get("Content-Type", "").strip()
        if self.answer.status != 200 or not _STREAM.fullmatch(kind):
            self._refuse_status()
            await self.answer.drain(DRAIN_S)
            if self.answer.status == 200:
                raise UpstreamFailed("The upstream opened no event stream.", reason="answer_type")
            raise self._status_error()
        exchange = self.exchange
        exchange.record_opening(200)
        with exchange.runtime.streams.hold(exchange):
            await exchange.begin_stream()
            reader = EventReader(exchange.runtime.limits.max_event_bytes)
            async for events in self._events(reader):
                for event in events:
                    data = self._standing_event(event)
                    if data is not None:
                        await exchange.push(data)
            exchange.conclude(200, "ok", "closed")
            await exchange.end_stream()

    # -- statuses --

    def _refuse_status(self) -> None:
        """Raise what the client gets for a status that is not passed on."""
        status = self.answer.status
        if status in (401, 403):
            raise UpstreamFailed(
                "The upstream refused the gateway's own credential; an admin must renew it.",
                reason="upstream_unauthorized",
            )
        if 300 <= status < 400:
            raise UpstreamFailed("The upstream redirects, which is not followed.", reason="upstream_redirect")
        if status in (202, 204) and self.exchange.message is not None and self.exchange.message.kind == "request":
            raise UpstreamFailed("The upstream accepted the request and gave no answer.", reason="answer_missing")
        if status >= 400 and status not in _KEPT_STATUSES and status < 500:
            raise UpstreamFailed(f"The upstream answered HTTP {status}.", reason="upstream_status")

    def _status_error(self) -> GatewayError:
        """Return the error for an upstream's refusal that says nothing usable."""
        status = self.answer.status
        kept = status in _KEPT_STATUSES
        code = INVALID_REQUEST if kept and status < 429 else INTERNAL_ERROR
        error = UpstreamFailed(f"The upstream answered HTTP {status}.", reason="upstream_status", code=code)
        error.status = status if kept else 502
        error.headers = self._kept_headers()
        return error

    def _kept_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the few headers of a refusal that mean something to the client."""
        headers: list[tuple[bytes, bytes]] = []
        retry = self.answer.headers.get("Retry-After", "")
        if self.answer.status in (429, 503) and retry.isascii() and retry.isdigit():
            headers.append((b"retry-after", b"%d" % min(int(retry[:9]), 86400)))
        if self.answer.status == 405:
            headers.append((b"allow", b"POST"))
        return tuple(headers)

    # -- JSON --

    def _checked(self, value: Any, body: bytes) -> tuple[dict[str, Any], bytes]:
        """Return a response that bears the expected id, filtered for this view. Raises UpstreamFailed."""
        if not self._is_response(value):
            raise UpstreamFailed("The upstream's answer is no JSON-RPC response.", reason="answer_invalid")
        if not _same_id(value.get("id"), self.expected):
            raise UpstreamFailed("The upstream's answer belongs to another request.", reason="answer_id")
        return self._prepared(value, body)

    @staticmethod
    def _is_response(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and value.get("jsonrpc") == "2.0"
            and ("result" in value) != ("error" in value)
            and "method" not in value
            and ("error" not in value or isinstance(value["error"], dict))
        )

    def _prepared(self, value: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Learn from a response, filter it, and give it the client's id."""
        result = value.get("result")
        if isinstance(result, dict):
            if self.method in filtering.LISTS and self.exchange.message is not None:
                self.exchange.runtime.discovery.learn(
                    self.upstream, self.method, self.exchange.message.params, result, filtering.result_bytes(body)
                )
            if self.method == "initialize":
                self._seal_session(result)
            if self.view.restricted and filtering.changes(self.view, self.method):
                body = filtering.apply(self.view, self.method, body, result, self.exchange.runtime.limits.list_ttl_ms)
        if self.rewrites:
            body = filtering.with_id(body, self.client_id)
        return value, body

    async def _pass_json(self, checked: tuple[dict[str, Any], bytes]) -> None:
        value, body = checked
        outcome, code = _outcome(value)
        exchange = self.exchange
        exchange.conclude(200, outcome, code=code, size=len(body))
        if exchange.head.accepts()[0]:
            await exchange.reply(200, body, self.extra_headers)
            return
        # The client takes event streams only (A.2).
        await exchange.begin_stream(headers=self.extra_headers)
        await exchange.push(Event(body, b"message").encode())
        await exchange.end_stream()

    async def _pass_error(self, value: Any, body: bytes) -> None:
        """Pass on an HTTP error that carries a JSON-RPC error; its id is put right where it is wrong."""
        error = value.get("error") if isinstance(value, dict) and "result" not in value else None
        if not isinstance(error, dict) or not isinstance(error.get("code"), int):
            raise self._status_error()
        if self.rewrites or not _same_id(value.get("id"), self.client_id) or value.get("jsonrpc") != "2.0":
            text, data = error.get("message"), error.get("data")
            body = error_body(
                self.client_id,
                error["code"],
                text[:MAX_ERROR_TEXT] if isinstance(text, str) else "",
                data if isinstance(data, dict) else None,
            )
        status = self.answer.status if self.answer.status in _KEPT_STATUSES else 502
        self.exchange.conclude(status, "rpc_error", "upstream_status", error["code"], len(body))
        await self.exchange.reply(status, body, (*self._kept_headers(), *self.extra_headers))

    # -- event streams --

    async def _events(self, reader: EventReader) -> Any:
        """Yield the events of each chunk. Raises UpstreamFailed when one is too large or the total is."""
        exchange = self.exchange
        total = 0
        async for chunk in self.answer.chunks():
            exchange.touch()
            total += len(chunk)
            if total > self.upstream.max_response_bytes and not exchange.long_lived:
                raise UpstreamFailed("The upstream's answer is too large.", reason="answer_too_large")
            try:
                events = reader.feed(chunk)
            except EventTooLarge:
                raise UpstreamFailed("An event of the upstream's is too large.", reason="event_too_large") from None
            if events:
                yield events

    async def _relay_stream(self) -> None:
        exchange = self.exchange
        listening = self.method == "subscriptions/listen"
        if listening:
            exchange.record_opening(200)
        with exchange.runtime.streams.hold(exchange, listening):
            await self._relay_events(listening)

    async def _relay_events(self, listening: bool) -> None:
        exchange = self.exchange
        await exchange.begin_stream(headers=self.extra_headers)
        reader = EventReader(exchange.runtime.limits.max_event_bytes)
        async for events in self._events(reader):
            pending: list[bytes] = []
            for event in events:
                data = self._stream_event(event)
                if data is not None:
                    pending.append(data)
                    exchange.record.response_bytes += 0 if self._finished else len(data)
                if self._finished:
                    break
            if pending:
                await exchange.push(b"".join(pending))
            if self._finished:
                await exchange.end_stream()
                await self.answer.drain(DRAIN_S)
                return
        if listening:
            exchange.conclude(200, "ok", "closed")
        elif self._resumable:
            # 2025-11-25: the server may close early; the client comes back with GET and Last-Event-ID.
            exchange.conclude(200, "ok", "stream_resumable")
        else:
            raise UpstreamFailed("The upstream's stream ended without an answer.", reason="answer_missing")
        await exchange.end_stream()

    def _stream_event(self, event: Event) -> bytes | None:
        """Return one event of a request's stream as it goes to the client; None to drop it. Records the answer."""
        self._dress(event)
        if not event.data:
            return event.encode() if event.id is not None or event.retry is not None else None
        value = self._read_event(event.data)
        if self._is_response(value):
            if not _same_id(value.get("id"), self.expected):
                return None
            value, event.data = self._prepared(value, event.data)
            self._finished = True
            outcome, code = _outcome(value)
            encoded = event.encode()
            self.exchange.conclude(200, outcome, code=code, size=len(encoded))
            return encoded
        return event.encode() if self._may_pass(value) else None

    def _standing_event(self, event: Event) -> bytes | None:
        """Return one event of a GET stream as it goes to the client; None to drop it."""
        self._dress(event)
        if not event.data:
            return event.encode() if event.id is not None or event.retry is not None else None
        value = self._read_event(event.data)
        if self._is_response(value) or self._may_pass(value):
            if self.view.restricted and "result" in value:
                self._filter_resumed(value, event)
            encoded = event.encode()
            self.exchange.record.response_bytes += len(encoded)
            return encoded
        return None

    def _filter_resumed(self, value: dict[str, Any], event: Event) -> None:
        """Filter a response that arrives on a resumed stream, by the shape of its result."""
        result = value["result"]
        assert event.data is not None  # noqa: S101
        if not isinstance(result, dict):
            return
        for method, (member, _, _) in filtering.LISTS.items():
            if member in result and filtering.changes(self.view, method):
                event.data = filtering.apply(
                    self.view, method, event.data, result, self.exchange.runtime.limits.list_ttl_ms
                )

    def _dress(self, event: Event) -> None:
        """Bind the event's id to the session; the modern era has no ids."""
        if event.id is None:
            return
        if self.exchange.modern or self.rewrites:
            event.id = event.retry = None
        elif event.id:
            session = self.exchange.session
            if session is None:
                session = self.exchange.session = self._session("", "")
            event.id = sign_event_id(session, event.id.decode("latin-1")).encode("latin-1")
            self._resumable = True

    @staticmethod
    def _read_event(data: bytes) -> Any:
        try:
            value = read_json(data)
        except (ValueError, RecursionError):
            raise UpstreamFailed("An event of the upstream's is not valid JSON.", reason="answer_invalid") from None
        if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
            raise UpstreamFailed("An event of the upstream's is no JSON-RPC message.", reason="answer_invalid")
        return value

    def _may_pass(self, value: dict[str, Any]) -> bool:
        """Return whether a notification or request of the upstream's goes to the client."""
        method = value.get("method")
        if not isinstance(method, str) or "result" in value or "error" in value:
            return False
        if "id" in value:
            # Requests to the client: legacy sessions only, whose client can post its reply.
            return not self.exchange.modern and not self.rewrites
        if method == "notifications/resources/updated" and self.view.restricts["resource"]:
            params = value.get("params")
            uri = params.get("uri") if isinstance(params, dict) else None
            return isinstance(uri, str) and self.view.allows("resource", uri)
        return True

    async def _collapse_stream(self) -> None:
        """Answer a client that takes no event stream: wait for the response, give it as JSON (A.1)."""
        reader = EventReader(self.exchange.runtime.limits.max_event_bytes)
        async for events in self._events(reader):
            for event in events:
                if not event.data:
                    continue
                value = self._read_event(event.data)
                if self._is_response(value) and _same_id(value.get("id"), self.expected):
                    await self._pass_json(self._prepared(value, event.data))
                    await self.answer.drain(DRAIN_S)
                    return
        raise UpstreamFailed("The upstream's stream ended without an answer.", reason="answer_missing")

    # -- sessions --

    def _note_session(self) -> None:
        """Seal the session that an `initialize` opened, before the answer's head leaves."""
        exchange = self.exchange
        if self.method != "initialize":
            return
        identifier = self.answer.headers.get("Mcp-Session-Id", "")
        if not identifier:
            return
        if len(identifier) > MAX_UPSTREAM_ID or not _VISIBLE.fullmatch(identifier):
            raise UpstreamFailed("The upstream's session id is not usable.", reason="session_id_invalid")
        exchange.session = self._session(identifier, exchange.record.protocol_version or "")
        self._offer_session()

    def _session(self, identifier: str, version: str) -> Any:
        exchange = self.exchange
        assert exchange.key is not None and exchange.access is not None  # noqa: S101
        return exchange.runtime.seal.session(
            identifier,
            exchange.key.id,
            exchange.access.namespace.id,
            self.upstream.id,
            version,
            exchange.record.client_name or "",
        )

    def _seal_session(self, result: dict[str, Any]) -> None:
        """Seal the session with the version that was negotiated, where the answer's head has not left yet."""
        exchange, version = self.exchange, result.get("protocolVersion")
        if isinstance(version, str):
            exchange.record.protocol_version = version[:32]
            if exchange.session is not None and exchange.session.upstream_session and not exchange.response_started:
                exchange.session = self._session(exchange.session.upstream_session, version)
                self._offer_session()

    def _offer_session(self) -> None:
        exchange = self.exchange
        assert exchange.session is not None  # noqa: S101
        exchange.record.session = exchange.session.digest
        self.extra_headers = ((b"mcp-session-id", exchange.runtime.seal.seal(exchange.session).encode()),)


def _same_id(given: Any, expected: str | int | None) -> bool:
    """Return whether two JSON-RPC ids are the same value of the same type (true is not 1)."""
    return type(given) is type(expected) and given == expected


def _outcome(value: dict[str, Any]) -> tuple[str, int | None]:
    """Return (outcome, JSON-RPC code) of a response."""
    error = value.get("error")
    if error is not None:
        code = error.get("code")
        return "rpc_error", code if isinstance(code, int) and -(2**31) <= code < 2**31 else None
    result = value.get("result")
    if isinstance(result, dict) and result.get("isError") is True:
        return "tool_error", None
    return "ok", None
