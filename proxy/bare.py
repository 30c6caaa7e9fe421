"""Bare calls: no session, no version, no `_meta` (A.1). The gateway speaks the upstream's era on their behalf.

A legacy upstream that keeps sessions gets one a key, opened once (single flight), ended after a while of
silence, and healed once when the upstream has forgotten it. A modern upstream gets the headers and the `_meta`
that it demands. Ids are rewritten, because calls of one key share the session.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from proxy import filtering
from proxy.control_answer import code_of, error_of, read_response
from proxy.errors import UpstreamFailed, UpstreamTimeout
from proxy.head import encode_value
from proxy.jsonrpc import (
    LEGACY_VERSIONS,
    META_CAPABILITIES,
    META_CLIENT,
    META_VERSION,
    MODERN_VERSION,
    NAMED_IN,
    Message,
)
from proxy.retries import RetryBudget
from proxy.upstream import UpstreamAnswer, UpstreamClient

if TYPE_CHECKING:
    from proxy.breaker import Breaker
    from proxy.entries import UpstreamEntry

logger = logging.getLogger(__name__)
LEGACY_VERSION = "2025-11-25"
CLIENT = {"name": "mcp-gateway", "version": "1"}
# The gateway's own look at an upstream's lists goes under no key.
GATEWAY_ITSELF = -1
# What may end a header's name (RFC 9110 section 5.1); an upstream's schema says what it likes.
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_MODERN_ERRORS = frozenset((-32020, -32021, -32022))


def _refused(status: int) -> UpstreamFailed:
    """Return the error for an upstream that answers its opening with an HTTP error."""
    error = UpstreamFailed(f"The upstream answered HTTP {status}.", reason="upstream_status")
    error.answered = status
    return error


class _Session:
    """A session with a legacy upstream. `identifier` is None where the upstream keeps none."""

    __slots__ = ("identifier", "last_used", "version")

    def __init__(self, identifier: str | None, version: str) -> None:
        self.identifier = identifier
        self.version = version
        self.last_used = 0.0


class UpstreamState:
    """What one process holds for bare calls to one upstream: its client, its era, a session a key."""

    def __init__(self, entry: UpstreamEntry, client: UpstreamClient, clock: Callable[[], float]) -> None:
        self.entry = entry
        self.client = client
        self.era: str | None = entry.era or None
        self.breaker: Breaker | None = None
        self.budget = RetryBudget()
        self.sessions: dict[int, _Session] = {}
        self._flights: dict[object, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self._users: Counter[int] = Counter()
        self._clock = clock

    async def _once(self, name: object, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run `work` unless it is under way under this name; all wait for the one result.

        The work is a task of its own: the caller that began it may leave, the others still need it.
        """
        flight = self._flights.get(name)
        if flight is None:
            flight = asyncio.ensure_future(self._in_time(work))
            self._flights[name] = flight
            flight.add_done_callback(lambda done: self._landed(name, done))
        return await asyncio.shield(flight)

    async def _in_time(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run `work` within the upstream's deadlines: it must end even when everybody who waits has left."""
        try:
            async with asyncio.timeout(self.entry.deadlines.first_byte_s):
                return await work()
        except TimeoutError:
            raise UpstreamTimeout("The upstream did not open a session in time.", reason="session_timeout") from None

    def _landed(self, name: object, flight: asyncio.Future[Any]) -> None:
        self._flights.pop(name, None)
        if not flight.cancelled():
            flight.exception()  # seen here, so that a failure with nobody waiting is no warning

    async def call(self, key_id: int, message: Message) -> tuple[UpstreamAnswer, int]:
        """Send a bare request and return its answer and the id that the answer must bear.

        Raises the errors of `UpstreamClient.send`, and UpstreamFailed when the upstream cannot be opened.
        """
        if self.era is None:
            await self._once("era", self._find_era)
        for last in (False, True):
            if self.era == "modern":
                answer, identifier = await self._call_modern(message)
                again = not last and await self._contradicts_modern(answer)
            else:
                session = await self._session(key_id)
                answer, identifier = await self._call_legacy(session, message)
                again = not last and await self._forgot(answer, session, key_id)
            if not again:
                return answer, identifier
        raise AssertionError("unreachable")

    @contextmanager
    def in_use(self, key_id: int) -> Iterator[None]:
        """Keep the key's session from ending while an answer on it is being relayed."""
        self._users[key_id] += 1
        try:
            yield
        finally:
            self._users[key_id] -= 1
            if not self._users[key_id]:
                del self._users[key_id]
            if (session := self.sessions.get(key_id)) is not None:
                session.last_used = self._clock()

    # -- modern --

    async def _call_modern(self, message: Message) -> tuple[UpstreamAnswer, int]:
        identifier = next(self._ids)
        meta = {META_VERSION: MODERN_VERSION, META_CAPABILITIES: {}, META_CLIENT: CLIENT}
        headers = {
            "MCP-Protocol-Version": MODERN_VERSION,
            "Mcp-Method": message.method,
        }
        if message.method in NAMED_IN and message.name is not None:
            headers["Mcp-Name"] = encode_value(message.name)
            headers.update(self._parameter_headers(message))
        body = filtering.with_params(message.body, identifier, meta)
        return await self.client.send("POST", headers, body), identifier

    def _parameter_headers(self, message: Message) -> dict[str, str]:
        """Return the Mcp-Param headers that the tool's schema asks for (SEP-2243), as far as it is known."""
        definition = self.entry.catalogue.names.get("tool", {}).get(message.name or "")
        schema = definition.get("inputSchema") if isinstance(definition, dict) else None
        arguments = message.params.get("arguments")
        headers: dict[str, str] = {}
        if message.method != "tools/call" or not isinstance(schema, dict) or not isinstance(arguments, dict):
            return headers
        pending = [(schema, arguments)]
        while pending:
            node, values = pending.pop()
            properties = node.get("properties")
            for name, part in properties.items() if isinstance(properties, dict) else ():
                value = values.get(name)
                if not isinstance(part, dict) or value is None:
                    continue
                header = part.get("x-mcp-header")
                if isinstance(header, str) and _TOKEN.fullmatch(header) and isinstance(value, str | int | bool):
                    text = value if isinstance(value, str) else json.dumps(value)
                    headers[f"Mcp-Param-{header}"] = encode_value(text)
                elif isinstance(value, dict):
                    pending.append((part, value))
        return headers

    async def _contradicts_modern(self, answer: UpstreamAnswer) -> bool:
        """Look whether the upstream turned out to be legacy; the request was then refused, not run."""
        if answer.status not in (400, 404, 405, 406) or self.entry.era == "modern":
            return False
        code, _ = await error_of(answer)
        if code in _MODERN_ERRORS or code in (-32601, -32602):
            return False
        answer.close()
        self.era = "legacy"
        return True

    async def _find_era(self) -> None:
        """Ask with `server/discover`, as a client of both eras does (2026-07-28, version negotiation)."""
        probe = Message("request", b'{"jsonrpc":"2.0","id":0,"method":"server/discover"}', 0, "server/discover")
        answer, _ = await self._call_modern(probe)
        try:
            if answer.status in (401, 403, 429) or answer.status >= 500:
                raise _refused(answer.status)
            code, found = await error_of(answer)
            modern = (answer.status == 200 and found) or code in _MODERN_ERRORS
            self.era = "modern" if modern or (answer.status == 404 and code == -32601) else "legacy"
        finally:
            answer.close()

    # -- legacy --

    async def _session(self, key_id: int) -> _Session:
        session = self.sessions.get(key_id)
        if session is None:
            session = await self._once(key_id, lambda: self._open(key_id))
        session.last_used = self._clock()
        return session

    async def _open(self, key_id: int) -> _Session:
        params = {"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": CLIENT}
        identifier = next(self._ids)
        body = json.dumps({"jsonrpc": "2.0", "id": identifier, "method": "initialize", "params": params}).encode()
        answer = await self.client.send("POST", {}, body)
        try:
            value = await read_response(answer)
            result = value.get("result") if isinstance(value, dict) else None
            if answer.status >= 500:
                raise _refused(answer.status)
            if answer.status != 200 or not isinstance(result, dict):
                if isinstance(value, dict) and code_of(value) in _MODERN_ERRORS and self.entry.era != "legacy":
                    self.era = "modern"
                raise UpstreamFailed("The upstream refused to open a session.", reason="upstream_initialize")
            version = result.get("protocolVersion")
            session_id = answer.headers.get("mcp-session-id")
        finally:
            answer.close()
        session = _Session(session_id, version if version in LEGACY_VERSIONS else LEGACY_VERSION)
        notice = await self.client.send(
            "POST", self._headers(session), b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
        )
        await notice.drain(1.0)
        session.last_used = self._clock()
        self.sessions[key_id] = session
        return session

    @staticmethod
    def _headers(session: _Session) -> dict[str, str]:
        headers = {"MCP-Protocol-Version": session.version}
        if session.identifier is not None:
            headers["Mcp-Session-Id"] = session.identifier
        return headers

    async def _call_legacy(self, session: _Session, message: Message) -> tuple[UpstreamAnswer, int]:
        identifier = next(self._ids)
        return await self.client.send("POST", self._headers(session), filtering.with_id(message.body, identifier)), (
            identifier
        )

    async def _forgot(self, answer: UpstreamAnswer, session: _Session, key_id: int) -> bool:
        """Look whether the upstream no longer knows the session; it then refused the call without running it."""
        if session.identifier is None or answer.status not in (400, 404):
            return False
        if answer.status == 400:
            _, text = await error_of(answer)
            if not isinstance(text, str) or not any(word in text.lower() for word in ("session", "initialized")):
                return False
        answer.close()
        if self.sessions.get(key_id) is session:
            del self.sessions[key_id]
        return True

    # -- housekeeping --

    async def expire(self, idle_s: float) -> None:
        """End the sessions that nobody used for `idle_s` seconds."""
        before = self._clock() - idle_s
        for key_id, session in list(self.sessions.items()):
            if session.last_used <= before and key_id not in self._users:
                self.sessions.pop(key_id, None)
                await self._end(session)

    async def close(self) -> None:
        """End every session, as far as the upstream still listens, and close the connections."""
        for session in self.sessions.values():
            await self._end(session)
        self.sessions.clear()
        await self.client.close()

    async def _end(self, session: _Session) -> None:
        if session.identifier is None:
            return
        try:
            async with asyncio.timeout(1.0):
                answer = await self.client.send("DELETE", self._headers(session), None)
                await answer.drain(0.5)
        except Exception as error:  # the session is over for us either way
            logger.debug("a session could not be ended: %s", error)
