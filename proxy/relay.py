"""An upstream's answer on its way to the client: which statuses and bodies pass, and what the others become."""

from __future__ import annotations

import re
from typing import Any

from namespaces.sse import Event
from proxy.errors import INTERNAL_ERROR, INVALID_REQUEST, GatewayError, UpstreamFailed
from proxy.exchange import Exchange
from proxy.jsonrpc import error_body, read_answer
from proxy.response import ResponseDesk, outcome_of, same_id
from proxy.stream_relay import DRAIN_S, StreamRelay
from proxy.upstream import UpstreamAnswer

_PLAIN_JSON = "application/json"
_JSON = re.compile(r"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?;?", re.IGNORECASE)
_STREAM = re.compile(r"text/event-stream\s*(;.*)?", re.IGNORECASE)
MAX_ERROR_TEXT = 4000
# Upstream statuses that mean the same from the gateway; every other failure of the upstream's is a 502.
_KEPT_STATUSES = frozenset((400, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415, 416, 422, 429, 503))
Headers = tuple[tuple[bytes, bytes], ...]


class Relay:
    """Carries one answer to the client. `expected` is the id that it must bear, where it is not the client's."""

    def __init__(self, exchange: Exchange, answer: UpstreamAnswer, expected: str | int | None = None) -> None:
        self.exchange = exchange
        self.answer = answer
        self.desk = ResponseDesk(exchange, expected)
        self.kind = answer.headers.get("content-type", "").strip()

    async def request(self) -> None:
        """Relay the answer to a request: JSON, an event stream, or an error."""
        if self.kind != _PLAIN_JSON and self.answer.status == 200 and _STREAM.fullmatch(self.kind):
            self.desk.note_session(self.answer)
            stream = StreamRelay(self.desk, self.answer)
            if self.exchange.head.accepts_stream:
                await stream.request()
            else:
                await self._pass_json(*await stream.collapse())
                await self.answer.drain(DRAIN_S)
            return
        self._refuse_status()
        deadline = self.exchange.deadline
        assert deadline is not None  # noqa: S101
        body = await self.answer.read(self.desk.upstream.max_response_bytes, deadline.touch)
        value = self._read(body)
        if self.answer.status != 200:
            await self._pass_error(value, body)
            return
        if not self.desk.answers(value):
            raise UpstreamFailed("The upstream's answer is not the response to this request.", reason="answer_id")
        self.desk.note_session(self.answer)
        await self._pass_json(value, body)

    async def acknowledgement(self) -> None:
        """Relay the answer to a notification or to a client's response: 202, or the upstream's refusal."""
        self._refuse_status()
        if self.answer.status not in (200, 202, 204):
            raise self._status_error()
        await self.answer.drain(DRAIN_S)
        self.exchange.conclude(202, "ok")
        await self.exchange.reply(202, b"")

    async def deletion(self) -> None:
        """Relay the answer to a DELETE: the session is over, or the upstream offers no such thing (405)."""
        self._refuse_status()
        status = self.answer.status
        if status not in (200, 202, 204):
            raise self._status_error()
        await self.answer.drain(DRAIN_S)
        self.exchange.conclude(status, "ok")
        await self.exchange.reply(status, b"")

    async def standing_stream(self) -> None:
        """Relay a GET stream, or the upstream's word that it offers none (405)."""
        if self.answer.status == 200 and _STREAM.fullmatch(self.kind):
            await StreamRelay(self.desk, self.answer).standing()
            return
        self._refuse_status()
        if self.answer.status == 200:
            raise UpstreamFailed("The upstream opened no event stream.", reason="answer_type")
        raise self._status_error()

    # -- statuses --

    def _refuse_status(self) -> None:
        """Raise what the client gets for a status that is not passed on."""
        status, message = self.answer.status, self.exchange.message
        if status == 200:
            return
        if status in (401, 403):
            raise UpstreamFailed(
                "The upstream refused the gateway's own credential; an admin must renew it.",
                reason="upstream_unauthorized",
            )
        if 300 <= status < 400:
            raise UpstreamFailed("The upstream redirects, which is not followed.", reason="upstream_redirect")
        if status in (202, 204) and message is not None and message.kind == "request":
            raise UpstreamFailed("The upstream accepted the request and gave no answer.", reason="answer_missing")

    def _status_error(self) -> GatewayError:
        """Return the error for a refusal of the upstream's that says nothing usable."""
        status = self.answer.status
        kept = status in _KEPT_STATUSES
        return UpstreamFailed(
            f"The upstream answered HTTP {status}.",
            reason="upstream_status",
            code=INVALID_REQUEST if kept and status < 429 else INTERNAL_ERROR,
            status=status if kept else 502,
            headers=self._kept_headers(),
        )

    def _kept_headers(self) -> Headers:
        """Return the few headers of a refusal that mean something to the client."""
        headers: list[tuple[bytes, bytes]] = []
        retry = self.answer.headers.get("retry-after", "")
        if self.answer.status in (429, 503) and retry.isascii() and retry.isdigit():
            headers.append((b"retry-after", b"%d" % min(int(retry[:9]), 86400)))
        if self.answer.status == 405:
            headers.append((b"allow", b"POST"))
        return tuple(headers)

    # -- bodies --

    def _read(self, body: bytes) -> Any:
        """Return the decoded body. Raises what the client gets for one that is no JSON."""
        failed = self.answer.status != 200
        if self.kind != _PLAIN_JSON and not _JSON.fullmatch(self.kind):
            if failed:
                raise self._status_error()
            raise UpstreamFailed("The upstream's answer is neither JSON nor an event stream.", reason="answer_type")
        try:
            return read_answer(body)
        except (ValueError, RecursionError):
            if failed:
                raise self._status_error() from None
            raise UpstreamFailed("The upstream's answer is not valid JSON.", reason="answer_invalid") from None

    async def _pass_json(self, value: dict[str, Any], body: bytes) -> None:
        body = self.desk.prepare(value, body)
        outcome, code = outcome_of(value)
        exchange = self.exchange
        exchange.conclude(200, outcome, code=code, size=len(body))
        if exchange.head.accepts_json:
            await exchange.reply(200, body, self.desk.headers)
            return
        # The client takes event streams only (A.2).
        stream = await exchange.begin_stream(self.desk.headers)
        await stream.push(Event(body, b"message").encode())
        await stream.end()

    async def _pass_error(self, value: Any, body: bytes) -> None:
        """Pass on an HTTP error that carries a JSON-RPC error; its id is put right where it is wrong."""
        error = value.get("error") if isinstance(value, dict) and "result" not in value else None
        if not isinstance(error, dict) or type(error.get("code")) is not int:
            raise self._status_error()
        desk, code = self.desk, error["code"]
        if desk.rewrites or not same_id(value.get("id"), desk.client_id) or value.get("jsonrpc") != "2.0":
            text, data = error.get("message"), error.get("data")
            body = error_body(
                desk.client_id,
                code,
                text[:MAX_ERROR_TEXT] if isinstance(text, str) else "",
                data if isinstance(data, dict) else None,
            )
        status = self.answer.status if self.answer.status in _KEPT_STATUSES else 502
        recorded = code if -(2**31) <= code < 2**31 else None
        self.exchange.conclude(status, "rpc_error", "upstream_status", recorded, len(body))
        await self.exchange.reply(status, body, (*self._kept_headers(), *desk.headers))
