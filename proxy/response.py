"""One JSON-RPC response of an upstream's: does it answer this request, what does it tell us, what may be seen of it."""

from __future__ import annotations

import re
from typing import Any

from proxy import filtering
from proxy.errors import UpstreamFailed
from proxy.exchange import Exchange
from proxy.jsonrpc import read_answer
from proxy.policy import View
from proxy.sessions import MAX_UPSTREAM_ID, Session
from proxy.upstream import UpstreamAnswer

_VISIBLE = re.compile(r"[\x21-\x7e]+")


def read_message(data: bytes) -> dict[str, Any]:
    """Return the JSON-RPC message in an event's data. Raises UpstreamFailed when it is none."""
    try:
        value = read_answer(data)
    except (ValueError, RecursionError):
        raise UpstreamFailed("An event of the upstream's is not valid JSON.", reason="answer_invalid") from None
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise UpstreamFailed("An event of the upstream's is no JSON-RPC message.", reason="answer_invalid")
    return value


def is_response(value: Any) -> bool:
    """Return whether a decoded value is a JSON-RPC 2.0 response: one of result and error, no method."""
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0" or "method" in value:
        return False
    if "error" in value:
        return "result" not in value and isinstance(value["error"], dict)
    return "result" in value


def same_id(given: Any, expected: str | int | None) -> bool:
    """Return whether two JSON-RPC ids are the same value of the same type (true is not 1)."""
    return type(given) is type(expected) and given == expected


def outcome_of(value: dict[str, Any]) -> tuple[str, int | None]:
    """Return (outcome, JSON-RPC code) of a response."""
    error = value.get("error")
    if error is not None:
        code = error.get("code")
        return "rpc_error", code if isinstance(code, int) and -(2**31) <= code < 2**31 else None
    result = value.get("result")
    if isinstance(result, dict) and result.get("isError") is True:
        return "tool_error", None
    return "ok", None


class ResponseDesk:
    """Where the responses of one exchange are looked at.

    `expected` is the id that the answer must bear; it differs from the client's where the gateway wrote its own
    id (`rewrites`). `headers` go on the head of the answer (the sealed session id of an `initialize`).
    """

    __slots__ = ("client_id", "exchange", "expected", "headers", "method", "rewrites", "upstream")

    def __init__(self, exchange: Exchange, expected: str | int | None = None) -> None:
        access, message = exchange.access, exchange.message
        assert access is not None and access.namespace.upstream is not None  # noqa: S101
        self.exchange = exchange
        self.upstream = access.namespace.upstream
        self.method = message.method if message is not None else ""
        self.client_id = message.id if message is not None else None
        self.expected = self.client_id if expected is None else expected
        self.rewrites = expected is not None
        self.headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def view(self) -> View:
        """What the client may see: looked up anew, because the rules may change under a standing stream."""
        assert self.exchange.access is not None  # noqa: S101
        return self.exchange.access.view

    def answers(self, value: Any) -> bool:
        """Return whether `value` is the response to this request."""
        return is_response(value) and same_id(value.get("id"), self.expected)

    def prepare(self, value: dict[str, Any], body: bytes) -> bytes:
        """Learn from a response, and return its bytes as the client may see them, under the client's id."""
        if self.method in filtering.TELLING and isinstance(result := value.get("result"), dict):
            if self.method in filtering.LISTS:
                self._learn(result, body)
            elif self.method == "initialize":
                self._note_version(result)
            if self.view.restricted and filtering.changes(self.view, self.method):
                body = self.filtered(self.method, body, result)
        return filtering.with_id(body, self.client_id) if self.rewrites else body

    def filtered(self, method: str, body: bytes, result: dict[str, Any]) -> bytes:
        """Return a response to `method` as this view may see it."""
        return filtering.apply(self.view, method, body, result, self.exchange.runtime.limits.list_ttl_ms)

    def _learn(self, result: dict[str, Any], body: bytes) -> None:
        message = self.exchange.message
        assert message is not None  # noqa: S101
        self.exchange.runtime.discovery.learn(
            self.upstream, self.method, message.params, result, filtering.result_bytes(body)
        )

    # -- legacy sessions --

    def note_session(self, answer: UpstreamAnswer) -> None:
        """Seal the session that an `initialize` opened, before the answer's head leaves.

        Raises UpstreamFailed for an id that cannot be a session id (2025-11-25: visible ASCII).
        """
        if self.method != "initialize":
            return
        identifier = answer.headers.get("mcp-session-id", "")
        if not identifier:
            return
        if len(identifier) > MAX_UPSTREAM_ID or not _VISIBLE.fullmatch(identifier):
            raise UpstreamFailed("The upstream's session id is not usable.", reason="session_id_invalid")
        self._offer(self.bind(identifier, self.exchange.record.protocol_version or ""))

    def bind(self, identifier: str, version: str) -> Session:
        """Return the session value for an upstream's session id, bound to this key, namespace and upstream."""
        exchange = self.exchange
        assert exchange.key is not None and exchange.access is not None  # noqa: S101
        exchange.session = exchange.runtime.seal.session(
            identifier,
            exchange.key.id,
            exchange.access.namespace.id,
            self.upstream.id,
            version,
            exchange.record.client_name or "",
        )
        return exchange.session

    def _note_version(self, result: dict[str, Any]) -> None:
        """Seal the session anew with the version that was negotiated, while the answer's head has not left."""
        exchange, version = self.exchange, result.get("protocolVersion")
        if not isinstance(version, str):
            return
        exchange.record.protocol_version = version[:32]
        if exchange.session is not None and exchange.session.upstream_session and not exchange.response_started:
            self._offer(self.bind(exchange.session.upstream_session, version))

    def _offer(self, session: Session) -> None:
        self.exchange.record.session = session.digest
        self.headers = ((b"mcp-session-id", self.exchange.runtime.seal.seal(session).encode()),)
