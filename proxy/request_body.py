"""The body of a request: all of it at once where it has arrived, and never more than may be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.endings import ClientGone
from proxy.errors import Invalid

if TYPE_CHECKING:
    from proxy.exchange import Exchange


async def read_body(exchange: Exchange, cap: int) -> bytes:
    """Return the request body. Raises Invalid (413) above `cap` bytes, ClientGone when it never ends."""
    body = None if exchange.connection is None else exchange.connection.take_body()
    if body is None:
        body = await _receive(exchange, cap)
    elif len(body) > cap:
        raise _too_large(cap)
    exchange.record.request_bytes = len(body)
    return body


async def _receive(exchange: Exchange, cap: int) -> bytes:
    """Read a body that is still arriving."""
    declared = exchange.head.values.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > cap:
        raise _too_large(cap)
    exchange.runtime.in_flight -= 1  # a request that is not there yet must not hold up a shut-down
    try:
        return await _gather(exchange, cap)
    finally:
        exchange.runtime.in_flight += 1


async def _gather(exchange: Exchange, cap: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        event = await exchange.receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = event.get("body", b"")
        more = event.get("more_body", False)
        size += len(body)
        if size > cap:
            raise _too_large(cap)
        parts.append(body)
    return b"".join(parts)


def _too_large(cap: int) -> Invalid:
    return Invalid(
        f"The body is larger than {cap} bytes (GATEWAY_MAX_REQUEST_BYTES).",
        reason="body_too_large",
        status=413,
        headers=((b"connection", b"close"),),
    )
