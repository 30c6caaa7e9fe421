"""Ask an upstream what it is: protocol era, version, latency and what it lists, or the exact reason why not.

Behind *Test connection*, health checks and discovery. Reads no database itself (`Target.of` does) and writes nothing;
`namespaces.catalogue.record` stores what was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from asgiref.sync import sync_to_async
from django.conf import settings

from namespaces import catalogue, egress, failures, outbound
from namespaces.exchange import Answer, Wire
from namespaces.failures import ProbeFailure, quote
from namespaces.fields import UndecryptableError
from namespaces.models import EntryKind, Era, Upstream

MODERN_VERSION = "2026-07-28"
LEGACY_VERSION = "2025-11-25"
MODERN_ERRORS = frozenset((-32020, -32021, -32022))
METHOD_NOT_FOUND = -32601
META = "io.modelcontextprotocol/"
CLIENT_INFO = {"name": "mcp-gateway", "version": "0.1.0"}
DEADLINE_S = 20.0  # of a whole probe
GOODBYE_S = 2.0  # for the DELETE of a legacy session, and for the look at the 2024-11-05 transport
MAX_PAGES = 200
AT_ONCE = 8  # probes of `probe_many` that run side by side

# kind -> (capability, method, member of the result)
LISTS = {
    EntryKind.TOOL: ("tools", "tools/list", "tools"),
    EntryKind.PROMPT: ("prompts", "prompts/list", "prompts"),
    EntryKind.RESOURCE: ("resources", "resources/list", "resources"),
    EntryKind.TEMPLATE: ("resources", "resources/templates/list", "resourceTemplates"),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server lists of one kind. `complete` is false when a cap or an error cut it short."""

    items: tuple[dict[str, Any], ...] = ()
    complete: bool = True
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found. `reason` is a code, empty when all is well; `message` is a sentence for an admin."""

    ok: bool
    message: str
    reason: str = ""
    era: str = ""
    protocol_version: str = ""
    server_name: str = ""
    server_version: str = ""
    latency_ms: float | None = None  # of the fastest round trip
    listings: Mapping[str, Listing] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def tool_count(self) -> int | None:
        """How many tools the server lists; None when it was not asked."""
        listing = self.listings.get(EntryKind.TOOL)
        return None if listing is None else len(listing.items)


@dataclass(frozen=True, slots=True)
class Target:
    """Everything a probe needs to know of an upstream, read from the database beforehand."""

    url: str
    era: str
    headers: Mapping[str, str] = field(repr=False)
    connect_timeout_s: float
    first_byte_timeout_s: float
    max_bytes: int

    @classmethod
    def of(cls, upstream: Upstream) -> Target:
        """Read an upstream and its credentials. Raises UndecryptableError."""
        return cls(
            url=upstream.url,
            era=upstream.era,
            headers={row.header: row.value.reveal() for row in upstream.credentials.all()},
            connect_timeout_s=upstream.connect_timeout_s or settings.CONNECT_TIMEOUT_S,
            first_byte_timeout_s=upstream.first_byte_timeout_s or settings.FIRST_BYTE_TIMEOUT_S,
            max_bytes=upstream.max_response_bytes or settings.MAX_RESPONSE_BYTES,
        )

    def scrub(self, text: str) -> str:
        """Return foreign text without our credentials, should the server have echoed one."""
        for value in self.headers.values():
            for secret in {value, value.rpartition(" ")[2]}:
                if len(secret) >= 4:
                    text = text.replace(secret, "••••")
        return text


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the first exchange settled: era, version, server, capabilities, and the headers of all later requests."""

    era: str
    version: str
    server: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    headers: Mapping[str, str]
    session_id: str = ""


async def probe(upstream: Upstream, deadline_s: float = DEADLINE_S) -> ProbeResult:
    """Probe an upstream within `deadline_s` seconds. Never raises for what the server or the network does."""
    try:
        target = await sync_to_async(Target.of)(upstream)
    except UndecryptableError as error:
        return ProbeResult(False, str(error), "credential_unreadable")
    return await probe_target(target, deadline_s)


def probe_many(upstreams: Iterable[Upstream], deadline_s: float = DEADLINE_S) -> list[ProbeResult]:
    """Probe upstreams from synchronous code, several at a time; the results stand in the order given.

    Runs an event loop of its own in the calling thread, so that the loop which serves calls is not disturbed.
    """
    targets: list[Target | ProbeResult] = []
    for upstream in upstreams:
        try:
            targets.append(Target.of(upstream))
        except UndecryptableError as error:
            targets.append(ProbeResult(False, str(error), "credential_unreadable"))

    async def run() -> list[ProbeResult]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(target: Target | ProbeResult) -> ProbeResult:
            if isinstance(target, ProbeResult):
                return target
            async with gate:
                return await probe_target(target, deadline_s)

        return list(await asyncio.gather(*map(one, targets)))

    return asyncio.run(run())


async def probe_target(target: Target, deadline_s: float = DEADLINE_S) -> ProbeResult:
    """Probe what `target` describes. Never raises for what the server or the network does."""
    host = urlsplit(target.url).hostname or target.url
    transport = outbound.CheckedTransport()
    timeout = httpx.Timeout(target.first_byte_timeout_s, connect=target.connect_timeout_s)
    async with outbound.client(transport, timeout) as http:
        wire = Wire(http, target.url, target.headers, target.max_bytes, settings.MAX_EVENT_BYTES)
        try:
            async with asyncio.timeout(deadline_s):
                egress.check_url(target.url)
                return await _converse(wire, target)
        except ProbeFailure as failure:
            finding = failure
        except (httpx.HTTPError, OSError, ValueError) as error:
            waited = _waited(error, target, deadline_s)
            finding = failures.from_transport(error, host, transport.last_address, wire.stage, waited)
    return ProbeResult(False, target.scrub(str(finding)), finding.reason)


def _waited(error: Exception, target: Target, deadline_s: float) -> float:
    if isinstance(error, httpx.ConnectTimeout):
        return target.connect_timeout_s
    return target.first_byte_timeout_s if isinstance(error, httpx.TimeoutException) else deadline_s


async def _converse(wire: Wire, target: Target) -> ProbeResult:
    greeting = await _greet(wire, target)
    try:
        listings, notes = {}, []
        for kind, (capability, method, member) in LISTS.items():
            if capability not in greeting.capabilities and kind != EntryKind.TOOL:
                listings[str(kind)] = Listing()
                continue
            listing, note = await _list(wire, greeting, kind, method, member)
            listings[str(kind)] = listing
            if note:
                notes.append(target.scrub(note))
    finally:
        await _say_goodbye(wire, greeting)
    latency_ms = None if wire.fastest is None else round(wire.fastest * 1000, 3)
    count = len(listings[EntryKind.TOOL].items)
    return ProbeResult(
        ok=True,
        message=f"{count} tool{'' if count == 1 else 's'} found.",
        era=greeting.era,
        protocol_version=greeting.version,
        server_name=target.scrub(quote(greeting.server.get("name", ""))),
        server_version=target.scrub(quote(greeting.server.get("version", ""), 100)),
        latency_ms=latency_ms,
        listings=listings,
        notes=tuple(notes),
    )


async def _greet(wire: Wire, target: Target) -> Greeting:
    if target.era == Era.LEGACY:
        return await _initialize(wire, target)
    answer = await wire.call("server/discover", *_modern("server/discover"))
    if greeting := _modern_greeting(answer):
        return greeting
    _stop_unless_evidence(answer, target)
    if target.era == Era.MODERN:
        raise ProbeFailure(
            "era_mismatch",
            f"The server does not speak {MODERN_VERSION}: {_what(answer)} Set the protocol era to “find out”.",
        )
    return await _initialize(wire, target)


def _modern(method: str, params: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the parameters and headers of a request of the modern era."""
    meta = {
        META + "protocolVersion": MODERN_VERSION,
        META + "clientCapabilities": {},
        META + "clientInfo": CLIENT_INFO,
    }
    return {**(params or {}), "_meta": meta}, {"MCP-Protocol-Version": MODERN_VERSION, "Mcp-Method": method}


def _modern_greeting(answer: Answer) -> Greeting | None:
    """Return the greeting of a modern server, or None when the answer is not one's.

    Source: 2026-07-28, versioning; a server is modern by its result or by an error that only modern servers know.
    """
    result = answer.result
    if result is not None and isinstance(result.get("supportedVersions"), list):
        supported = result["supportedVersions"]
        if MODERN_VERSION not in supported:
            raise _no_common_version(supported)
        meta = _object(result.get("_meta"))
        capabilities = _object(result.get("capabilities"))
        return Greeting(Era.MODERN, MODERN_VERSION, _object(meta.get(META + "serverInfo")), capabilities, {})
    if answer.error_code == -32022:
        supported = _object((answer.error or {}).get("data")).get("supported")
        supported = supported if isinstance(supported, list) else []
        if any(isinstance(version, str) and version < MODERN_VERSION for version in supported):
            return None  # it names a legacy revision, which `initialize` speaks
        raise _no_common_version(supported)
    if answer.error_code in MODERN_ERRORS:
        raise ProbeFailure("rpc_error", f"The server refused server/discover: {_what(answer)}")
    if answer.status == 404 and answer.error_code == METHOD_NOT_FOUND:
        # Modern, but without the method that it must have: its lists may still work.
        return Greeting(Era.MODERN, MODERN_VERSION, {}, {"tools": {}, "prompts": {}, "resources": {}}, {})
    return None


def _no_common_version(supported: list[Any]) -> ProbeFailure:
    names = quote(", ".join(str(version) for version in supported[:8])) or "none"
    return ProbeFailure(
        "version_unsupported",
        f"The server speaks {names}; this gateway speaks {MODERN_VERSION} and the legacy revisions.",
    )


def _stop_unless_evidence(answer: Answer, target: Target) -> None:
    """Raise for a status that says nothing about the protocol era: 3xx, 401, 403, 429, 5xx."""
    if 300 <= answer.status < 400 or answer.status in (401, 403, 429) or answer.status >= 500:
        raise failures.from_status(answer.status, answer.retry_after, bool(target.headers), answer.location)


async def _initialize(wire: Wire, target: Target) -> Greeting:
    params = {"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": CLIENT_INFO}
    answer = await wire.call("initialize", params, {})
    _stop_unless_evidence(answer, target)
    result = answer.result
    if result is None or not isinstance(result.get("protocolVersion"), str):
        if answer.status in (400, 404, 405) and await _is_two_endpoint(wire):
            raise ProbeFailure(
                "transport_unsupported",
                "The server speaks the HTTP+SSE transport of 2024-11-05, which this gateway does not forward to. "
                "Many such servers offer Streamable HTTP at another path, often /mcp.",
            )
        if answer.status >= 400 and answer.message is None:
            raise failures.from_status(answer.status, answer.retry_after, bool(target.headers), answer.location)
        raise ProbeFailure(answer.reason or "rpc_error", f"This is no usable MCP server: {_what(answer)}")
    version = quote(result["protocolVersion"], 32)
    headers = {"MCP-Protocol-Version": version} if version.isascii() else {}
    if answer.session_id:
        headers["Mcp-Session-Id"] = answer.session_id
    accepted = await wire.notify("notifications/initialized", headers)
    _stop_unless_evidence(accepted, target)
    return Greeting(
        Era.LEGACY,
        version,
        _object(result.get("serverInfo")),
        _object(result.get("capabilities")),
        headers,
        answer.session_id,
    )


async def _is_two_endpoint(wire: Wire) -> bool:
    try:
        async with asyncio.timeout(GOODBYE_S):
            return await wire.greets_with_endpoint()
    except (httpx.HTTPError, TimeoutError):
        return False


async def _list(wire: Wire, greeting: Greeting, kind: EntryKind, method: str, member: str) -> tuple[Listing, str]:
    """Read every page of one list; return it with a note on what was wrong, if anything."""
    found: dict[str, dict[str, Any]] = {}
    dropped, cursor, cursors = 0, None, set()
    for _ in range(MAX_PAGES):
        params: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        if greeting.era == Era.MODERN:
            answer = await wire.call(method, *_modern(method, params))
        else:
            answer = await wire.call(method, params, greeting.headers)
        page = answer.result.get(member) if answer.result is not None else None
        if not isinstance(page, list):
            if answer.error_code == METHOD_NOT_FOUND and (
                kind != EntryKind.TOOL or "tools" not in greeting.capabilities
            ):
                return Listing(), ""
            if kind == EntryKind.TOOL:
                raise ProbeFailure("list_failed", f"The server is up, but {method} fails: {_what(answer)}")
            return Listing(tuple(found.values()), False, dropped), f"{method} fails: {_what(answer)}"
        usable, bad = catalogue.sift(kind, page, taken=found)
        dropped += bad
        found.update(usable)
        if len(found) >= catalogue.MAX_ENTRIES:
            kept = tuple(list(found.values())[: catalogue.MAX_ENTRIES])
            return Listing(kept, False, dropped), f"{method}: only the first {len(kept):,} entries were read."
        cursor = (answer.result or {}).get("nextCursor")
        if cursor is None:
            note = f"{method}: {dropped:,} entries with an unusable or repeated name were dropped." if dropped else ""
            return Listing(tuple(found.values()), True, dropped), note
        if not isinstance(cursor, str) or cursor in cursors or len(cursor) > 65536:
            return Listing(tuple(found.values()), False, dropped), f"{method}: the server's pages run in a circle."
        cursors.add(cursor)
    return Listing(
        tuple(found.values()), False, dropped
    ), f"{method}: more than {MAX_PAGES} pages; the rest was not read."


async def _say_goodbye(wire: Wire, greeting: Greeting) -> None:
    """End a legacy session politely; that it fails changes nothing of what was found."""
    if not greeting.session_id:
        return
    try:
        async with asyncio.timeout(GOODBYE_S):
            await wire.end_session(greeting.headers)
    except (httpx.HTTPError, OSError):
        return


def _what(answer: Answer) -> str:
    """Describe an answer that is not what was asked for."""
    if answer.error is not None:
        text = quote(answer.error.get("message", "")) or "no message"
        return f"error {quote(answer.error.get('code'), 20)} “{text}” (HTTP {answer.status})."
    if answer.problem:
        return f"{answer.problem} (HTTP {answer.status})"
    return f"an answer of unexpected shape (HTTP {answer.status})."


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
