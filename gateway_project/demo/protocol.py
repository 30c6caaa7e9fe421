"""The demo server's side of MCP, without any network: one JSON-RPC message in, status and answer out.

Both eras: 2026-07-28 (stateless, `_meta` on every request) and, without sessions, 2025-11-25 and older.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway_project.demo.tools import TOOLS, ToolError

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
_META = "io.modelcontextprotocol/"
_SERVER = {"name": "gateway-demo", "title": "MCP gateway demo", "version": "1.0.0"}
_CAPABILITIES: dict[str, Any] = {"tools": {}}
_INSTRUCTIONS = "Four small tools to try the gateway with: echo, add, time and roll_dice."
_CACHE = {"ttlMs": 60_000, "cacheScope": "public"}


class RpcError(Exception):
    """A JSON-RPC error with its HTTP status."""

    def __init__(self, status: int, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"code": code, "message": message} | ({} if data is None else {"data": data})


def answer(body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Any] | None]:
    """Return the HTTP status and the JSON-RPC answer to a POST; None for a notification.

    `headers` has lower-case names and values without surrounding blanks.
    """
    request_id = None
    try:
        message = _parse(body)
        request_id = message.get("id")
        if "id" not in message:
            return 202, None
        params = message.get("params") or {}
        meta = params.get("_meta")
        if not isinstance(meta, dict):
            meta = {}
        if _is_modern(meta, headers):
            result = _modern(message["method"], params, meta, headers)
        else:
            result = _legacy(message["method"], params, headers)
    except RpcError as error:
        return error.status, {"jsonrpc": "2.0", "id": request_id, "error": error.error}
    return 200, {"jsonrpc": "2.0", "id": request_id, "result": result}


def _parse(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise RpcError(400, -32700, "Parse error") from None
    shaped = (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and isinstance(message.get("params", {}), dict | None)
        and ("id" not in message or (isinstance(message["id"], str | int) and not isinstance(message["id"], bool)))
    )
    if not shaped:
        raise RpcError(400, -32600, "Invalid request: one JSON-RPC request or notification, please")
    return dict(message)


def _is_modern(meta: dict[str, Any], headers: Mapping[str, str]) -> bool:
    named = headers.get("mcp-protocol-version")
    return f"{_META}protocolVersion" in meta or (named is not None and named not in LEGACY)


def _modern(method: str, params: dict[str, Any], meta: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Check a request of 2026-07-28 in the order of its error table, and dispatch it."""
    version = meta.get(f"{_META}protocolVersion")
    if not isinstance(version, str) or not isinstance(meta.get(f"{_META}clientCapabilities"), dict):
        raise RpcError(400, -32602, f"params._meta must hold {_META}protocolVersion and {_META}clientCapabilities")
    expected: dict[str, Any] = {"mcp-protocol-version": version, "mcp-method": method}
    if method == "tools/call":
        expected["mcp-name"] = params.get("name")
    for name, value in expected.items():
        if headers.get(name) != value:
            raise RpcError(400, -32020, f"Header {name} must be there and say what the body says")
    if version != MODERN:
        raise RpcError(
            400, -32022, "Unsupported protocol version", {"supported": [MODERN, *LEGACY], "requested": version}
        )
    if method == "server/discover":
        result = {"supportedVersions": [MODERN], "capabilities": _CAPABILITIES, "instructions": _INSTRUCTIONS} | _CACHE
    elif method == "tools/list":
        result = _tools() | _CACHE
    elif method == "tools/call":
        result = _call(params)
    else:
        raise RpcError(404, -32601, f"Method not found: {method}")
    return {"resultType": "complete", **result, "_meta": {f"{_META}serverInfo": _SERVER}}


def _legacy(method: str, params: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    if method == "initialize":
        asked = params.get("protocolVersion")
        return {
            "protocolVersion": asked if asked in LEGACY else LEGACY[0],
            "capabilities": _CAPABILITIES,
            "serverInfo": _SERVER,
            "instructions": _INSTRUCTIONS,
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return _tools()
    if method == "tools/call":
        return _call(params)
    raise RpcError(200, -32601, f"Method not found: {method}")


def _tools() -> dict[str, Any]:
    return {"tools": [tool.definition() for tool in TOOLS.values()]}


def _call(params: dict[str, Any]) -> dict[str, Any]:
    """Run a tool; what goes wrong inside it is a result, as the specification wants."""
    name, arguments = params.get("name"), params.get("arguments", {})
    tool = TOOLS.get(name) if isinstance(name, str) else None
    if tool is None:
        raise RpcError(200, -32602, f"Unknown tool: {name}")
    try:
        if not isinstance(arguments, dict):
            raise ToolError("arguments must be an object.")
        value = tool.call(arguments)
    except ToolError as error:
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}
    text = str(next(iter(value.values()))) if len(value) == 1 else json.dumps(value)
    return {"content": [{"type": "text", "text": text}], "structuredContent": value, "isError": False}
