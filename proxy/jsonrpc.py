"""The one strict reading of a JSON-RPC message. What passes here is unambiguous and goes on byte for byte.

Refused: duplicate keys anywhere, case variants of protocol keys (servers that match keys case-insensitively
would read another message than we did), NaN and Infinity, bad UTF-8, a BOM, depth above the limit.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from namespaces.strict_json import read_json
from proxy.errors import INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR, Invalid

MODERN_VERSION = "2026-07-28"
LEGACY_VERSIONS = frozenset(("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"))
META = "io.modelcontextprotocol/"
META_VERSION = META + "protocolVersion"
META_CAPABILITIES = META + "clientCapabilities"
META_CLIENT = META + "clientInfo"

_TOP = frozenset(("jsonrpc", "id", "method", "params", "result", "error"))
_PARAMS = frozenset(
    "name uri arguments _meta cursor ref argument context level requestId reason progressToken progress total message"
    " protocolVersion capabilities clientInfo taskId task inputResponses requestState notifications".split()
)
_META = frozenset(
    ("progressToken", "traceparent", "tracestate", "baggage", META_VERSION, META_CAPABILITIES, META_CLIENT)
    + (META + "logLevel", META + "subscriptionId", META + "related-task")
)
_FOLDED = {keys: {key.casefold() for key in keys} for keys in (_TOP, _PARAMS, _META)}
# Where the thing that a method acts on is named.
NAMED_IN = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
}
REQUEST_METHODS = frozenset(
    "initialize ping server/discover tools/list tools/call prompts/list prompts/get resources/list"
    " resources/templates/list resources/read resources/subscribe resources/unsubscribe completion/complete"
    " logging/setLevel subscriptions/listen tasks/get tasks/list tasks/result tasks/update tasks/cancel".split()
)
# Gone with the modern era.
_REMOVED = frozenset(("resources/subscribe", "resources/unsubscribe"))
_FOLDED_METHODS = {method.casefold() for method in REQUEST_METHODS}
_METHOD = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_.$/-]{0,127}")
MAX_ID_LENGTH = 1024


@dataclass(slots=True)
class Message:
    """One JSON-RPC message as it was read. `kind` is request, notification or response.

    `name` is what the method acts on, where it names a thing; `meta` the params' `_meta`, empty when there is none.
    """

    kind: str
    body: bytes
    id: str | int | None = None
    method: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


def read_answer(body: bytes) -> Any:
    """Return the value of an upstream's JSON text: as strict, except that half a surrogate pair may stand escaped.

    JavaScript servers write those for text cut in the middle of a character; the bytes pass on as they are.
    Raises ValueError for everything else that is malformed or ambiguous.
    """
    try:
        return read_json(body)
    except ValueError as error:
        if "hex escape" not in str(error) or b"\\u" not in body:
            raise
    return json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("duplicate key")
    return mapping


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _refuse_variants(mapping: dict[str, Any], exact: frozenset[str], where: str) -> None:
    folded = _FOLDED[exact]
    for key in mapping:
        if key not in exact and key.casefold() in folded:
            raise Invalid(
                f"{where} holds a key that differs from a protocol key only in its letters' case.", reason="key_variant"
            )


def _check_depth(value: Any, limit: int) -> None:
    """Raise Invalid when arrays and objects nest deeper than `limit`."""
    level, depth = [value], 1
    while level:
        children: list[Any] = []
        for item in level:
            members = item.values() if isinstance(item, dict) else item
            children.extend(member for member in members if isinstance(member, dict | list))
        level, depth = children, depth + 1
        if level and depth > limit:
            raise Invalid(f"The JSON nests deeper than {limit} levels.", reason="json_too_deep")


def parse(body: bytes, max_depth: int) -> Message:
    """Read a client's message.

    Args: body: the request body; max_depth: the deepest nesting accepted, in levels.
    Raises Invalid with -32700 for what is no JSON, -32600 for what is no single JSON-RPC 2.0 message,
    -32601 for a method that cannot exist, -32602 for params that are no object.
    """
    try:
        value = read_json(body)
    except (ValueError, RecursionError) as error:
        if "uplicate key" in str(error):
            raise Invalid("The JSON holds a key twice in one object.", reason="key_duplicate") from None
        raise Invalid("The body is not valid JSON (UTF-8).", reason="json_invalid", code=PARSE_ERROR) from None
    if not isinstance(value, dict):
        if isinstance(value, list) and value:
            raise Invalid(
                "Batches are not supported; send one message a request (protocol 2025-06-18 and later).",
                reason="batch",
            )
        raise Invalid("The body is not a JSON-RPC message (an object).", reason="message_invalid")
    # Response bodies are the upstream's business; the reader's own bound (about 200 levels) holds there.
    if len(body) > 2 * max_depth and body.count(b"[") + body.count(b"{") > max_depth:
        _check_depth(value, max_depth)
    is_exact = value.keys() <= _TOP
    if not is_exact:
        _refuse_variants(value, _TOP, "The message")
    if value.get("jsonrpc") != "2.0":
        raise Invalid('The member "jsonrpc" must be "2.0".', reason="message_invalid")
    if not is_exact:
        raise Invalid("The message holds a member that JSON-RPC does not know.", reason="message_invalid")
    return _request(value, body) if "method" in value else _response(value, body)


def _identifier(value: dict[str, Any]) -> str | int:
    identifier = value["id"]
    if type(identifier) is int:
        return identifier
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise Invalid('The member "id" must be a string or an integer.', reason="id_invalid")
    if isinstance(identifier, str) and len(identifier) > MAX_ID_LENGTH:
        raise Invalid(f'The member "id" is longer than {MAX_ID_LENGTH} characters.', reason="id_invalid")
    return identifier


def _request(value: dict[str, Any], body: bytes) -> Message:
    if "result" in value or "error" in value:
        raise Invalid("The message is a request and a response at once.", reason="message_invalid")
    method = value["method"]
    if not isinstance(method, str) or not method:
        raise Invalid('The member "method" must be a non-empty string.', reason="method_invalid")
    if "id" in value:
        message = Message("request", body, _identifier(value), method)
    else:
        message = Message("notification", body, None, method)
    try:
        _fill(message, value)
    except Invalid as error:
        error.request_id = message.id  # type: ignore[attr-defined]
        raise
    return message


def _fill(message: Message, value: dict[str, Any]) -> None:
    """Check method and params of a request or notification and put them into `message`."""
    method = message.method
    if method not in REQUEST_METHODS and (not _METHOD.fullmatch(method) or method.casefold() in _FOLDED_METHODS):
        raise Invalid("Method not found", reason="method_unknown", code=METHOD_NOT_FOUND)
    if message.kind == "notification" and not method.startswith("notifications/"):
        raise Invalid(f'{method[:80]} is a request; its "id" is missing.', reason="id_missing")
    if "params" not in value:
        if method in NAMED_IN:
            raise Invalid(f"{method} needs params.", reason="params_invalid", code=INVALID_PARAMS, status=200)
        return
    params = value["params"]
    if not isinstance(params, dict):
        raise Invalid('The member "params" must be an object.', reason="params_invalid", code=INVALID_PARAMS)
    if not params.keys() <= _PARAMS:
        _refuse_variants(params, _PARAMS, "params")
    meta = params.get("_meta")
    if meta is not None:
        if not isinstance(meta, dict):
            raise Invalid("params._meta must be an object.", reason="params_invalid", code=INVALID_PARAMS)
        if not meta.keys() <= _META:
            _refuse_variants(meta, _META, "params._meta")
        message.meta = meta
    message.params = params
    where = NAMED_IN.get(method)
    if where is not None:
        name = params.get(where)
        if not isinstance(name, str) or not name:
            if method in _REMOVED and META_VERSION in message.meta:
                return  # the upstream says what became of this method
            raise Invalid(
                f"params.{where} must be a non-empty string.", reason="params_invalid", code=INVALID_PARAMS, status=200
            )
        message.name = name


def _response(value: dict[str, Any], body: bytes) -> Message:
    if ("result" in value) == ("error" in value) or "params" in value or "id" not in value:
        raise Invalid("The message is neither a request nor a response.", reason="message_invalid")
    return Message("response", body, id=_identifier(value))


def error_body(identifier: str | int | None, code: int, message: str, data: dict[str, object] | None) -> bytes:
    """Return a JSON-RPC error response as compact UTF-8 JSON."""
    error: dict[str, object] = {"code": code, "message": message}
    if data:
        error["data"] = data
    return json.dumps(
        {"jsonrpc": "2.0", "id": identifier, "error": error}, separators=(",", ":"), ensure_ascii=True
    ).encode()
