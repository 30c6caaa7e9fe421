"""What a probe says to a server: find its protocol era, greet it, read its lists, take leave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from namespaces import catalogue, failures
from namespaces.exchange import Answer, Wire
from namespaces.failures import ProbeFailure, quote
from namespaces.findings import Listing, ProbeResult, Target
from namespaces.models import EntryKind, Era

MODERN_VERSION = "2026-07-28"
LEGACY_VERSION = "2025-11-25"
MODERN_ERRORS = frozenset((-32020, -32021, -32022))
METHOD_NOT_FOUND = -32601
META = "io.modelcontextprotocol/"
CLIENT_INFO = {"name": "mcp-gateway", "version": "0.1.0"}
GOODBYE_S = 2.0  # for the DELETE of a legacy session, and for the look at the 2024-11-05 transport
MAX_PAGES = 200

# kind -> (capability, method, member of the result)
LISTS = {
    EntryKind.TOOL: ("tools", "tools/list", "tools"),
    EntryKind.PROMPT: ("prompts", "prompts/list", "prompts"),
    EntryKind.RESOURCE: ("resources", "resources/list", "resources"),
    EntryKind.TEMPLATE: ("resources", "resources/templates/list", "resourceTemplates"),
}


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the first exchange settled: era, version, server, capabilities, and the headers of all later requests."""

    era: str
    version: str
    server: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    headers: Mapping[str, str]
    session_id: str = ""


async def converse(wire: Wire, target: Target, lists: bool = True) -> ProbeResult:
    """Hold the whole conversation and return what a working server told.

    Args: lists: whether to read the server's lists; without them a legacy server is pinged, and a modern one has
    said enough with its answer to the greeting.
    Raises ProbeFailure for a server that cannot be used, and what the network raises.
    """
    greeting = await _greet(wire, target)
    try:
        listings: dict[str, Listing] = {}
        notes: list[str] = []
        if not lists and greeting.era == Era.LEGACY:
            await _ping(wire, greeting)
        for kind, (capability, method, member) in LISTS.items() if lists else ():
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
    count = len(listings[EntryKind.TOOL].items) if lists else 0
    return ProbeResult(
        ok=True,
        message=f"{count} tool{'' if count == 1 else 's'} found." if lists else "It answers.",
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


async def _ping(wire: Wire, greeting: Greeting) -> None:
    """Ping a legacy server; one that has no such method has answered all the same."""
    answer = await wire.call("ping", {}, greeting.headers)
    if answer.result is None and answer.error_code != METHOD_NOT_FOUND:
        raise ProbeFailure("ping_failed", f"The server opens sessions, but ping fails: {_what(answer)}")


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
