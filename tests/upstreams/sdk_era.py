"""Restrict a dual-era SDK application to one era, with the answers that a one-era server gives to the other."""

from __future__ import annotations

import json
from typing import Any

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class OneEra:
    """`legacy` answers modern requests as SDK 1.x does; `modern` names its versions to legacy ones (-32022)."""

    def __init__(self, app: ASGIApp, era: str) -> None:
        self.app = app
        self.era = era

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        version = next((v.decode() for k, v in scope.get("headers", []) if k == b"mcp-protocol-version"), None)
        is_modern = version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS
        if scope["type"] != "http" or is_modern == (self.era == "modern"):
            await self.app(scope, receive, send)
        elif self.era == "legacy":
            error = {"code": -32600, "message": "Bad Request: Missing session ID"}
            await _answer(send, 400, {"jsonrpc": "2.0", "id": "server-error", "error": error})
        elif scope["method"] != "POST":
            await send({"type": "http.response.start", "status": 405, "headers": [(b"allow", b"POST")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._name_versions(receive, send)

    async def _name_versions(self, receive: Receive, send: Send) -> None:
        body = bytearray()
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            body += message.get("body", b"")
        request = json.loads(body or b"{}")
        asked = (request.get("params") or {}).get("protocolVersion", "")
        data = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": asked}
        error = {"code": -32022, "message": "Unsupported protocol version", "data": data}
        await _answer(send, 400, {"jsonrpc": "2.0", "id": request.get("id"), "error": error})


async def _answer(send: Send, status: int, document: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})
