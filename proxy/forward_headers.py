"""The headers of a request that go upstream: a list of our own, never a copy of the client's."""

from __future__ import annotations

from proxy.errors import Invalid
from proxy.exchange import Exchange
from proxy.sessions import verify_event_id


def protocol_headers(exchange: Exchange) -> dict[str, str]:
    """Return the protocol headers that go upstream: our own list, never a copy of the client's."""
    head, record = exchange.head, exchange.record
    trace = head.trace()
    record.trace_id = trace[0] if trace else record.id
    headers = {"traceparent": f"00-{record.trace_id}-{record.id[:16]}-{trace[1] if trace else '00'}"}
    version = head.version
    if version is not None:
        headers["MCP-Protocol-Version"] = version
    if exchange.session is not None and exchange.session.upstream_session:
        headers["Mcp-Session-Id"] = exchange.session.upstream_session
    if exchange.modern:
        for name, header in ((b"mcp-method", "Mcp-Method"), (b"mcp-name", "Mcp-Name")):
            value = head.text(name)
            if value is not None:
                headers[header] = value
        for name, raw in head.parameters:
            headers[name.decode("latin-1")] = raw.decode("latin-1").strip(" \t")
    return headers


def resume(exchange: Exchange, headers: dict[str, str]) -> None:
    """Pass Last-Event-ID on if it is this session's own. Raises Invalid: events of others must not be replayed."""
    signed = exchange.head.text(b"last-event-id")
    if signed is None:
        return
    access, key = exchange.access, exchange.key
    assert access is not None and access.namespace.upstream is not None and key is not None  # noqa: S101
    session = exchange.session or exchange.runtime.seal.session(
        "", key.id, access.namespace.id, access.namespace.upstream.id, "", ""
    )
    identifier = verify_event_id(session, signed)
    if identifier is None:
        raise Invalid("This Last-Event-ID belongs to no stream of this session.", reason="event_id_unknown")
    headers["Last-Event-ID"] = identifier
