"""A request's head, read once: the headers that mean something to the gateway, and what it refuses in them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from functools import lru_cache

from proxy.errors import Invalid
from proxy.jsonrpc import LEGACY_VERSIONS

# Names that are read, or that clients usually send; whoever sends no other sends no Mcp-Param header either.
_KNOWN = frozenset(
    (
        b"host",
        b"origin",
        b"authorization",
        b"x-api-key",
        b"accept",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"mcp-protocol-version",
        b"mcp-method",
        b"mcp-name",
        b"mcp-session-id",
        b"last-event-id",
        b"x-request-id",
        b"traceparent",
        b"user-agent",
        b"access-control-request-method",
        *(b"accept-encoding", b"accept-language", b"cache-control", b"connection", b"sec-fetch-mode"),
    )
)
_NONE: frozenset[bytes] = frozenset()
# Headers whose meaning would depend on which of two copies is read.
_ROUTING = frozenset(
    (b"content-type", b"content-encoding", b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id")
    + (b"last-event-id",)
)
# Whoever sends a key here by mistake must not find it in logs and at the upstream.
_REQUEST_ID = re.compile(rb"(?!.*mcpgw_)[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_VERSION = re.compile(r"[\x21-\x7e]{1,64}")
_VISIBLE = re.compile(rb"[\t\x20-\x7e]*")
MAX_PARAM_HEADERS = 32


@lru_cache(maxsize=256)
def _accepted(accept: bytes | None) -> tuple[bool, bool]:
    """Return whether an Accept header allows (JSON, an event stream). Without one: JSON only (A.1)."""
    if accept is None:
        return True, False
    json, stream = b"application/json" in accept, b"text/event-stream" in accept
    if not (json and stream):
        json = json or b"*/*" in accept or b"application/*" in accept
        stream = stream or b"text/*" in accept
    return json, stream


def _with_repeated(headers: Sequence[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], set[bytes]]:
    values: dict[bytes, bytes] = {}
    repeated: set[bytes] = set()
    for name, value in headers:
        if name not in values:
            values[name] = value
            continue
        repeated.add(name)
        if name == b"accept":
            values[name] += b"," + value
    return values, repeated


class Head:
    """The headers of one request.

    `values` maps lower-case names to their values; `repeated` holds the names that came twice, whose first value
    counts, except that those of Accept are joined;
    `parameters` are the `Mcp-Param-*` headers as they came; `version` is the MCP-Protocol-Version header;
    `accepts_json` and `accepts_stream` say which kinds of answer the client takes.
    """

    __slots__ = ("accepts_json", "accepts_stream", "parameters", "repeated", "values", "version")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        values: dict[bytes, bytes] = dict(headers)
        if len(values) == len(headers):
            self.repeated: frozenset[bytes] | set[bytes] = _NONE
        else:
            values, self.repeated = _with_repeated(headers)
        self.values = values
        self.parameters: Sequence[tuple[bytes, bytes]] = ()
        if not values.keys() <= _KNOWN:
            self.parameters = [pair for pair in headers if pair[0].startswith(b"mcp-param-")]
        version = values.get(b"mcp-protocol-version")
        self.version = None if version is None else version.decode("latin-1").strip(" \t")
        self.accepts_json, self.accepts_stream = _accepted(values.get(b"accept"))

    def text(self, name: bytes) -> str | None:
        """Return a header as text (RFC 9110 §5.5: visible ASCII is what we take), stripped; None when absent."""
        value = self.values.get(name)
        return None if value is None else value.decode("latin-1").strip(" \t")

    def refuse_ambiguous(self) -> None:
        """Raise Invalid when a header that routes or frames the request came twice or holds odd bytes."""
        if self.repeated and (twice := self.repeated & _ROUTING):
            raise Invalid(f"The header {min(twice).decode()} came twice.", reason="header_repeated", code=-32020)
        if self.version is not None and self.version not in LEGACY_VERSIONS and not _VERSION.fullmatch(self.version):
            raise Invalid("The header MCP-Protocol-Version is no version.", reason="version_invalid", code=-32022)
        if len(self.parameters) > MAX_PARAM_HEADERS:
            raise Invalid(f"More than {MAX_PARAM_HEADERS} Mcp-Param headers.", reason="header_invalid", code=-32020)
        for name, value in self.parameters:
            if not _VISIBLE.fullmatch(name) or not _VISIBLE.fullmatch(value):
                raise Invalid("An Mcp-Param header holds odd bytes.", reason="header_invalid", code=-32020)

    def request_id(self) -> str | None:
        """Return the client's X-Request-Id when it is fit for logs."""
        value = self.values.get(b"x-request-id")
        return value.decode() if value is not None and _REQUEST_ID.fullmatch(value) else None

    def trace(self) -> tuple[str, str] | None:
        """Return (trace id, flags) of a well-formed W3C traceparent header."""
        value = self.values.get(b"traceparent")
        if value is None or not (match := _TRACEPARENT.fullmatch(value)) or not match[1].strip(b"0"):
            return None
        return match[1].decode(), match[3].decode()


def decode_value(text: str) -> str:
    """Return what an Mcp-Name header says (SEP-2243): literal text, or `=?base64?…?=` decoded.

    Raises Invalid (-32020) when the encoding is broken.
    """
    if not (text.startswith("=?base64?") and text.endswith("?=") and len(text) >= 11):
        return text
    try:
        return base64.b64decode(text[9:-2], validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Invalid("The header Mcp-Name cannot be decoded.", reason="header_invalid", code=-32020) from None


def encode_value(text: str) -> str:
    """Return `text` as an Mcp-Name or Mcp-Param header value (the inverse of `decode_value`)."""
    plain = text == text.strip() and all(32 <= ord(character) < 127 or character == "\t" for character in text)
    if plain and text and not text.startswith("=?base64?"):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="
