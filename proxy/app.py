"""The hot path: one ASGI callable, its stages readable from top to bottom.

host and origin ► authenticate ► namespace and verb ► read and parse ► authorise ► limit ► forward ► record
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from functools import lru_cache

from namespaces import networks
from proxy import allowance, auth, brakes, era, policy
from proxy.admission import admit, pass_breaker
from proxy.endings import ClientGone, StreamEnded
from proxy.errors import GatewayError, Invalid, NotFound, Unauthenticated, Unavailable, UpstreamFailed
from proxy.exchange import Exchange, Receive, Scope, Send
from proxy.forward_headers import protocol_headers, resume
from proxy.jsonrpc import LEGACY_VERSIONS, Message, parse
from proxy.origin import preflight
from proxy.relay import Relay
from proxy.request_body import read_body
from proxy.retries import send
from proxy.runtime import Runtime, runtime
from proxy.snapshot import Snapshot
from proxy.upstream import UpstreamAnswer

logger = logging.getLogger(__name__)
_PATH = re.compile(rb"/mcp/([a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?)")
_LONGEST_PATH = len("/mcp/") + 64
_JSON_TYPE = re.compile(rb"\s*application/json\s*(;\s*charset=\"?utf-8\"?\s*)?;?\s*", re.IGNORECASE)
_VERBS = b"GET, POST, DELETE, OPTIONS"


@lru_cache(1024)
def _slug(raw_path: bytes) -> str | None:
    """Return the namespace that a path names, to the letter; None for any other path."""
    match = _PATH.fullmatch(raw_path)
    return match[1].decode() if match else None


class Gateway:
    """The ASGI application at /mcp. It holds nothing of its own; all state is the runtime's."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; every path through here ends in an answer and one line of record."""
        if not self.runtime.started:
            await self.runtime.start()
        exchange = Exchange(self.runtime, scope, receive, send)
        self.runtime.in_flight += 1
        try:
            await self._answer(exchange)
        except asyncio.CancelledError:
            # Stopped while it was already ending: by the client, which leaves nobody to tell.
            if exchange.cause is None:
                raise
            exchange.settle()
            exchange.conclude(499, "client_gone")
        finally:
            self.runtime.in_flight -= 1
            exchange.disarm()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._serve(exchange)
        except GatewayError as error:
            await exchange.refuse(error)
        except ClientGone:
            exchange.conclude(499, "client_gone")
        except asyncio.CancelledError:
            await self._interrupted(exchange)
        except Exception:
            logger.exception("a call failed inside the gateway", extra={"request_id": exchange.record.request_id})
            await exchange.refuse(GatewayError("The gateway failed to handle this call.", reason="internal"))

    async def _interrupted(self, exchange: Exchange) -> None:
        """End a call that was stopped: by its client, a deadline, a withdrawn right, or the end of the process."""
        cause = exchange.cause
        if cause is None:
            exchange.conclude(503, "unavailable", "shutdown")
            raise asyncio.CancelledError
        exchange.settle()
        if isinstance(cause, GatewayError):
            await exchange.refuse(cause)
        elif isinstance(cause, StreamEnded):
            exchange.conclude(200, "ok", cause.reason)
            if exchange.stream is not None:
                await exchange.stream.finish()
        else:
            exchange.conclude(499, "client_gone", cause.reason if isinstance(cause, ClientGone) else None)

    async def _serve(self, exchange: Exchange) -> None:
        scope, head = exchange.scope, exchange.head
        exchange.cors = self.runtime.origin.check(head)
        verb = scope["method"]
        if verb == "OPTIONS":
            exchange.conclude(204, "ok")
            await exchange.reply(204, b"", (*preflight(scope["headers"]), (b"allow", _VERBS)))
            return
        snapshot = self._snapshot()
        if scope.get("query_string"):
            auth.refuse_query_credentials(scope["query_string"])
        address = exchange.record.client_address
        try:
            exchange.identify(auth.authenticate(head, snapshot, self.runtime.peppers, time.time(), address))
        except Unauthenticated as error:
            if error.key is not None:
                exchange.identify(error.key)
            raise self.runtime.strangers.judge(error, address, self.runtime.clock()) from None
        self._enter(exchange, snapshot)
        head.refuse_ambiguous()
        exchange.record.protocol_version = head.version
        if verb == "POST":
            await self._post(exchange)
        elif verb in ("GET", "DELETE"):
            await self._session_verb(exchange, verb)
        else:
            raise Invalid(
                "This method is not offered.", reason="verb_unknown", status=405, headers=((b"allow", _VERBS),)
            )

    def _snapshot(self) -> Snapshot:
        snapshot = self.runtime.usable
        if snapshot is None:
            raise Unavailable("The gateway has no current configuration.", reason="no_configuration")
        if self.runtime.recorder.refusing:
            raise Unavailable("Calls cannot be recorded now, so none is served.", reason="journal_full")
        return snapshot

    def _enter(self, exchange: Exchange, snapshot: Snapshot) -> None:
        """Find the namespace by the exact path; one that is forbidden answers like one that does not exist."""
        key = exchange.key
        assert key is not None  # noqa: S101
        path = exchange.scope["raw_path"]
        slug = _slug(path) if len(path) <= _LONGEST_PATH else None
        access = snapshot.access(key, slug) if slug is not None else None
        if access is None:
            raise NotFound("There is no such namespace for this key.", reason="namespace_unknown")
        exchange.record.namespace = access.namespace.slug
        if access.namespace.networks is not None and not self._is_near(exchange, access.namespace.networks):
            elsewhere = NotFound("There is no such namespace for this key.", reason="address_denied")
            elsewhere.shown_reason = "namespace_unknown"
            raise elsewhere
        exchange.access = access
        if access.holds and (hold := brakes.first(access.holds, time.time())) is not None:
            raise hold.refusal(time.time())
        upstream = access.namespace.upstream
        if upstream is None:
            raise Unavailable(
                "This namespace mounts no enabled upstream; an admin must mount one.", reason="upstream_missing"
            )
        exchange.record.upstream = upstream.slug
        if upstream.problem is not None:
            raise UpstreamFailed(f"The call cannot be made: {upstream.problem[1]}.", reason=upstream.problem[0])

    @staticmethod
    def _is_near(exchange: Exchange, allowed: tuple[networks.Network, ...]) -> bool:
        return networks.holds(allowed, networks.address(exchange.record.client_address))

    async def _post(self, exchange: Exchange) -> None:
        head = exchange.head
        kind = head.values.get(b"content-type", b"")
        if kind != b"application/json" and not _JSON_TYPE.fullmatch(kind):
            raise Invalid("Content-Type must be application/json.", reason="content_type", status=415)
        if b"content-encoding" in head.values and head.values[b"content-encoding"].lower() != b"identity":
            raise Invalid("Compressed bodies are not accepted.", reason="content_encoding", status=415)
        if not (head.accepts_json or head.accepts_stream):
            raise Invalid("Accept must allow application/json or text/event-stream.", reason="accept", status=406)
        limits = self.runtime.limits
        message = parse(await read_body(exchange, limits.max_request_bytes), limits.max_json_depth)
        exchange.describe(message)
        spoken = era.classify(head, message)
        exchange.modern = spoken == era.MODERN
        if exchange.modern:
            era.check_modern(head, message)
        self._open_session(exchange)
        assert exchange.access is not None  # noqa: S101
        view = exchange.access.view
        if view.restricted and (doubtful := policy.authorise(view, message, exchange.modern)) is not None:
            await self._look_up(exchange, *doubtful)
        if message.kind != "response":
            await allowance.spend(exchange, message.name if message.method == "tools/call" else None)
        if message.method == "tools/call":
            allowance.brake(exchange, message)
        if message.method == "subscriptions/listen":
            assert exchange.key is not None  # noqa: S101
            self.runtime.streams.check(exchange.key.id)
            exchange.long_lived = True
        if spoken == era.BARE:
            await self._forward_bare(exchange, message)
        else:
            await self._forward(exchange, message)

    def _open_session(self, exchange: Exchange) -> None:
        """Open the sealed session id of a legacy request; the modern era has none and ignores the header."""
        sealed = exchange.head.values.get(b"mcp-session-id")
        if sealed is None or exchange.modern:
            return
        key, access = exchange.key, exchange.access
        assert key is not None and access is not None and access.namespace.upstream is not None  # noqa: S101
        session = self.runtime.seal.open(sealed, key.id, access.namespace.id, access.namespace.upstream.id)
        if session is None:
            raise NotFound("Session not found; initialize again.", reason="session_unknown")
        exchange.session = session
        exchange.record.session = session.digest
        exchange.record.client_name = exchange.record.client_name or session.client_name or None

    async def _look_up(self, exchange: Exchange, kind: str, name: str) -> None:
        """The rules let a name pass that the upstream is not known to have: look at its list first."""
        access = exchange.access
        assert access is not None and access.namespace.upstream is not None  # noqa: S101
        upstream = access.namespace.upstream
        pass_breaker(exchange, self.runtime.upstream_state(upstream))
        await self.runtime.discovery.look(upstream, kind)
        if not upstream.catalogue.knows(kind, name):
            raise policy.unknown(kind, name, exchange.modern, reason="name_unknown")

    async def _forward(self, exchange: Exchange, message: Message) -> None:
        """Pass the message through as it came and relay the answer."""
        access = exchange.access
        assert access is not None and access.namespace.upstream is not None  # noqa: S101
        state = self.runtime.upstream_state(access.namespace.upstream)
        headers = protocol_headers(exchange)
        if message.kind == "request":
            exchange.watch_client()
        else:
            exchange.release_client()
        await admit(exchange, state)
        answer = await send(exchange, state, lambda: state.client.send("POST", headers, message.body))
        exchange.answered(answer.status)
        try:
            relay = Relay(exchange, answer)
            await (relay.request() if message.kind == "request" else relay.acknowledgement())
        finally:
            answer.close()

    async def _forward_bare(self, exchange: Exchange, message: Message) -> None:
        """Make a bare call in the upstream's era; bare notifications concern nobody and are acknowledged."""
        if message.kind != "request":
            exchange.conclude(202, "ok")
            await exchange.reply(202, b"")
            return
        access, key = exchange.access, exchange.key
        assert access is not None and access.namespace.upstream is not None and key is not None  # noqa: S101
        state = self.runtime.upstream_state(access.namespace.upstream)
        exchange.watch_client()
        await admit(exchange, state)
        expected = 0

        async def call() -> UpstreamAnswer:
            nonlocal expected
            answer, expected = await state.call(key.id, message)
            return answer

        with state.in_use(key.id):
            answer = await send(exchange, state, call)
            exchange.answered(answer.status)
            try:
                await Relay(exchange, answer, expected).request()
            finally:
                answer.close()

    async def _session_verb(self, exchange: Exchange, verb: str) -> None:
        """Pass a legacy GET (standing stream) or DELETE (end of the session) through."""
        head, access, key = exchange.head, exchange.access, exchange.key
        assert access is not None and access.namespace.upstream is not None and key is not None  # noqa: S101
        if head.version is not None and head.version not in LEGACY_VERSIONS:
            allow = ((b"allow", b"POST"),)
            raise Invalid("This protocol version has POST only.", reason="verb_unknown", status=405, headers=allow)
        self._open_session(exchange)
        headers = protocol_headers(exchange)
        if verb == "GET":
            if not head.accepts_stream:
                raise Invalid("Accept must allow text/event-stream.", reason="accept", status=406)
            await allowance.spend(exchange)
            self.runtime.streams.check(key.id)
            headers["Accept"] = "text/event-stream"
            resume(exchange, headers)
        state = self.runtime.upstream_state(access.namespace.upstream)
        exchange.watch_client()
        await admit(exchange, state)
        exchange.long_lived = verb == "GET"
        answer = await state.client.send(verb, headers, None)
        exchange.answered(answer.status)
        try:
            relay = Relay(exchange, answer)
            await (relay.standing_stream() if verb == "GET" else relay.deletion())
        finally:
            answer.close()


application = Gateway(runtime)
