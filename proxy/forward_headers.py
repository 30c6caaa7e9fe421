"""The headers of a request that go upstream: a list of our own, never a copy of the client's."""

from __future__ import annotations

from proxy.exchange import Exchange


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
