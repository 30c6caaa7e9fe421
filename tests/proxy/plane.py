"""The gateway of these tests: what it publishes, who may call, and a caller that speaks every way of calling."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from keys import secrets
from tests.gateway import Gateway
from tests.proxy.wire import Answer, Connection, request
from tests.upstreams.hostile import BEHAVIOURS

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
META = "io.modelcontextprotocol/"
BOTH = "application/json, text/event-stream"
UPSTREAM_SECRET = "upstream-secret-8c1f0d7be4"
HOSTILE_DEADLINE_S = 2.0
HOSTILE_ANSWER_BYTES = 1 << 20
KEYS = {
    name: secrets.generate() for name in ("alice", "bob", "carol", "dave", "revoked", "expired", "stopped", "streaming")
}
# Behaviours that a GET for a standing stream meets; those left out differ from one of these only in their JSON.
STANDING = (
    *(
        "hang",
        "slow-head",
        "sse-idle",
        "sse-comments",
        "sse-huge-line",
        "gzip-bad",
        "html",
        "utf-7",
        "ct-sse-body-json",
    ),
    *("ct-json-body-sse", "sse-crlf", "sse-inject", "sse-two-answers", "sse-server-request", "close", "reset"),
    *("close-mid-sse", "bad-chunk", "http09", "status-401", "status-429", "status-600", "redirect-canary"),
    *("redirect-meta", "resp-cookies", "many-headers", "big-header", "sse-endpoint", "endless-sse"),
)
# Long past and far future, so that no clock matters.
PAST = "2020-01-01T00:00:00Z"


def configuration(upstreams: dict[str, str], *, hostile: bool = True) -> dict[str, Any]:
    """Return the configuration file's content.

    Args: upstreams: URLs of sdk, echo, kept, restarted and hostile; hostile: whether the hostile ones are published.
    """
    shared = {
        "sdk": {"url": upstreams["sdk"], "credentials": {"Authorization": f"Bearer {UPSTREAM_SECRET}"}},
        "echo": {"url": upstreams["echo"]},
        "kept": {"url": upstreams["kept"]},
        "restarted": {"url": upstreams["restarted"]},
        "dead": {"url": "http://127.0.0.1:10/mcp"},
    }
    none = {"mode": "none"}
    namespaces: dict[str, Any] = {
        "open": {"upstream": "sdk"},
        "listed": {
            "upstream": "sdk",
            "tools": {"mode": "listed", "listed": ["echo"]},
            "prompts": none,
            "resources": none,
        },
        "denied": {"upstream": "sdk", "tools": {"mode": "all", "denied": ["add", "test_*"]}},
        "echo": {"upstream": "echo"},
        "kept": {"upstream": "kept"},
        "restarted": {"upstream": "restarted"},
        "dead": {"upstream": "dead"},
        "disabled": {"upstream": "echo", "enabled": False},
        "unmounted": {"upstream": ""},
    }
    if hostile:
        found = hostile_upstreams(upstreams["hostile"])
        shared |= found
        namespaces |= {slug: {"upstream": slug} for slug in found} | _guarding()
    return {"upstreams": shared, "namespaces": namespaces, "keys": _keys()}


def _guarding() -> dict[str, Any]:
    """Namespaces with rules over upstreams whose lists are traps."""
    denied = {"mode": "all", "denied": ["secret"]}
    return {
        "guarded": {"upstream": "h-tools-poison", "tools": {"mode": "listed", "listed": ["good_*"]}},
        "looping": {"upstream": "h-tools-cursor-loop", "tools": denied},
        "growing": {"upstream": "h-tools-cursor-grow", "tools": denied},
        "unlistable": {"upstream": "h-invalid", "tools": denied},
    }


def hostile_upstreams(base: str) -> dict[str, Any]:
    """Return an upstream `h-<behaviour>` for each behaviour of the hostile server at `base`, and some more."""
    limits = {
        "timeouts": {"connect": "1s", "first_byte": "1s", "idle": "1s", "total": f"{HOSTILE_DEADLINE_S:g}s"},
        "max_response_bytes": HOSTILE_ANSWER_BYTES,
    }
    # Smaller than it could be: making it must not take the upstream longer than the first-byte deadline.
    paths = {"huge": "huge?mb=4"}
    found: dict[str, Any] = {
        f"h-{name}": {"url": f"{base}/{paths.get(name, name)}", "era": "legacy"} | limits for name in BEHAVIOURS
    }
    found["h-ok-modern"] = {"url": f"{base}/ok?era=modern"} | limits
    found["h-request-modern"] = {"url": f"{base}/sse-server-request?era=modern"} | limits
    # Only its deadline ends this one. Its events are large: nobody is kept busy by their number.
    found["flood"] = (
        {"url": f"{base}/endless-sse?size=60000", "era": "legacy"} | limits | {"max_response_bytes": 1 << 32}
    )
    # The behaviour from the first message on, the handshake included.
    for name in ("big-session", "sse-endpoint", "status-401", "hang"):
        found[f"all-{name}"] = {"url": f"{base}/{name}?all=1"} | limits
    # The behaviour on the standing stream of a GET too.
    for name in STANDING:
        found[f"get-{name}"] = {"url": f"{base}/{name}?all=1", "era": "legacy"} | limits
    return found


def _keys() -> list[dict[str, Any]]:
    everywhere = {"all_namespaces": True}
    described: dict[str, dict[str, Any]] = {
        "alice": everywhere,
        "bob": {"namespaces": ["echo"]},
        "carol": everywhere,
        "dave": {"grants": {"open": {"tools": {"mode": "listed", "listed": ["add"]}}}},
        "revoked": everywhere | {"revoked_at": PAST},
        "expired": everywhere | {"expires_at": PAST},
        "stopped": everywhere | {"requests_per_minute": 0},
        "streaming": everywhere,
    }
    return [{"key": KEYS[name], "user_id": name} | columns for name, columns in described.items()]


def message(method: str, params: Any = ..., identifier: Any = 1) -> dict[str, Any]:
    """Return a JSON-RPC request; `...` leaves a member out."""
    whole = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
    return {name: value for name, value in whole.items() if value is not ...}


def tool_call(name: Any = "echo", arguments: Any = None, identifier: Any = 1) -> dict[str, Any]:
    """Return a tools/call request."""
    return message("tools/call", {"name": name, "arguments": arguments or {"message": "hello"}}, identifier)


@dataclass(frozen=True, slots=True)
class LegacySession:
    """A session that was opened with `initialize`; `headers` make a request belong to it."""

    id: str
    opening: Answer
    headers: dict[str, str]


class Caller:
    """A client of the gateway. Every call has a connection of its own."""

    def __init__(self, gateway: Gateway, upstreams: dict[str, str]) -> None:
        self.gateway = gateway
        self.upstreams = upstreams

    @property
    def port(self) -> int:
        """The gateway's port."""
        return self.gateway.port

    def send(
        self,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        key: str | None = "alice",
        method: str = "POST",
        timeout_s: float = 8.0,
    ) -> Answer:
        """Send one request and return its answer. `headers` win over the usual ones; `key` names one of KEYS."""
        sent = {"Content-Type": "application/json", "Accept": BOTH, "Connection": "close"}
        if key is not None:
            sent["Authorization"] = f"Bearer {KEYS[key]}"
        sent |= headers or {}
        pairs = [(name, value) for name, value in sent.items() if value is not None]
        with Connection(self.port, timeout_s) as connection:
            connection.send(request(path, body, pairs, method=method))
            answer = connection.read(method)
        assert answer is not None, f"the gateway closed without an answer to {method} {path}"
        return answer

    def post(self, namespace: str, content: Any, headers: dict[str, str] | None = None, **options: Any) -> Answer:
        """POST a message (anything that dumps as JSON, or bytes as they are) to a namespace."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.send(f"/mcp/{namespace}", body, headers, **options)

    def open_stream(
        self,
        namespace: str,
        content: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        *,
        key: str = "alice",
        receive_buffer: int = 0,
    ) -> Connection:
        """Open an event stream, by POST of a message or by GET, and return its connection once the head is read.

        `receive_buffer`: how much the system keeps for a client that does not read, in bytes; 0: what it likes.
        """
        sent = {"Authorization": f"Bearer {KEYS[key]}", "Accept": "text/event-stream"} | (headers or {})
        body = b""
        if content is not None:
            sent["Content-Type"], body = "application/json", json.dumps(content).encode()
        connection = Connection(self.port, receive_buffer=receive_buffer)
        method = "GET" if content is None else "POST"
        connection.send(request(f"/mcp/{namespace}", body, list(sent.items()), method=method))
        head = connection.read_head()
        assert head is not None and head.status == 200, head
        assert head.header("content-type") == "text/event-stream"
        return connection

    def modern(
        self, namespace: str, content: dict[str, Any], headers: dict[str, Any] | None = None, **options: Any
    ) -> Answer:
        """POST a request of 2026-07-28: `_meta` and headers are put in; a header of None leaves it out."""
        params = dict(content.get("params") or {})
        params["_meta"] = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}} | params.get("_meta", {})
        sent = {"MCP-Protocol-Version": MODERN, "Mcp-Method": content["method"]}
        named = params.get("name", params.get("uri"))
        if isinstance(named, str):
            sent["Mcp-Name"] = named if named.isascii() and named.isprintable() else _encoded(named)
        return self.post(namespace, content | {"params": params}, sent | (headers or {}), **options)

    def initialize(self, namespace: str, capabilities: dict[str, Any] | None = None, **options: Any) -> LegacySession:
        """Open a legacy session as a client does."""
        params = {
            "protocolVersion": LEGACY,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "suite", "version": "1"},
        }
        opening = self.post(namespace, message("initialize", params), **options)
        assert opening.status == 200, opening
        identifier = opening.header("mcp-session-id") or ""
        headers = {"MCP-Protocol-Version": LEGACY} | ({"Mcp-Session-Id": identifier} if identifier else {})
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert self.post(namespace, ready, headers, **options).status == 202
        return LegacySession(identifier, opening, headers)

    def seen(self, upstream: str) -> dict[str, Any]:
        """What reached the sdk or the hostile upstream."""
        with urllib.request.urlopen(_root(self.upstreams[upstream]) + "/_seen") as answer:
            return dict(json.load(answer))

    def forget(self, *upstreams: str) -> None:
        """Clear the record of upstreams."""
        for upstream in upstreams:
            url = _root(self.upstreams[upstream]) + "/_seen"
            urllib.request.urlopen(urllib.request.Request(url, method="DELETE")).close()

    def names_called(self, upstream: str) -> list[Any]:
        """The names of the tools/call requests that reached an upstream."""
        return [seen["name"] for seen in self.seen(upstream)["requests"] if seen["rpc_method"] == "tools/call"]

    def count(self, upstream: str = "echo") -> dict[str, int]:
        """The counts of an echo upstream: calls, answered, open, left."""
        with urllib.request.urlopen(_root(self.upstreams[upstream]) + "/_count") as answer:
            return dict(json.load(answer))


def _root(url: str) -> str:
    return url.removesuffix("/mcp")


def _encoded(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'surrogatepass')).decode()}?="


def expect_refused(answer: Answer, statuses: Iterable[int], codes: Iterable[int] = ()) -> None:
    """Assert that an answer is one of the gateway's refusals: status, JSON-RPC shape and, where told, the code."""
    assert answer.status in set(statuses), (answer.status, answer.body[:300])
    assert answer.json["jsonrpc"] == "2.0" and "error" in answer.json, answer.body[:300]
    if codes:
        assert answer.code in set(codes), answer.body[:300]
