"""Which protocol era a request belongs to, and what each era demands of it before anything is forwarded."""

from __future__ import annotations

from proxy.errors import HEADER_MISMATCH, INVALID_PARAMS, Invalid
from proxy.head import Head, decode_value
from proxy.jsonrpc import LEGACY_VERSIONS, META_CAPABILITIES, META_VERSION, NAMED_IN, Message

MODERN = "modern"
LEGACY = "legacy"
BARE = "bare"
# The tasks extension names the task in the header (SEP-2663).
_TASK_METHODS = frozenset(("tasks/get", "tasks/update", "tasks/cancel"))


def classify(head: Head, message: Message) -> str:
    """Return modern, legacy or bare.

    Modern: the body claims a version in `_meta`, or the header names one that is not legacy. Bare: no session,
    no version, no `_meta` claim, and no `initialize`: a call such as one line of curl makes (A.1).
    """
    version = head.version
    if META_VERSION in message.meta or (version is not None and version not in LEGACY_VERSIONS):
        return MODERN
    if version is not None or b"mcp-session-id" in head.values or message.method == "initialize":
        return LEGACY
    return BARE


def check_modern(head: Head, message: Message) -> None:
    """Hold a modern request's headers against its body (2026-07-28, transport and SEP-2243).

    Raises Invalid: -32600 for a posted response, -32602 for a missing `_meta` member, -32020 for a header that
    is missing or differs. Whether the version is supported is the upstream's to say.
    """
    if message.kind == "response":
        raise Invalid("Clients post no responses in this protocol version.", reason="message_invalid")
    meta = message.meta
    claimed = meta.get(META_VERSION)
    if message.kind == "request" and (
        not isinstance(claimed, str) or not isinstance(meta.get(META_CAPABILITIES), dict)
    ):
        raise Invalid(
            f"params._meta must hold {META_VERSION} (a string) and {META_CAPABILITIES} (an object).",
            reason="meta_missing",
            code=INVALID_PARAMS,
        )
    if (claimed is not None or message.kind == "request") and head.version != claimed:
        raise _mismatch("MCP-Protocol-Version")
    method = head.text(b"mcp-method")
    if method != message.method and (message.kind == "request" or method is not None):
        raise _mismatch("Mcp-Method")
    if message.kind == "request":
        _check_name(head, message)


def _check_name(head: Head, message: Message) -> None:
    given = head.text(b"mcp-name")
    expected = message.name
    if message.method in _TASK_METHODS:
        task = message.params.get("taskId")
        expected = task if isinstance(task, str) else None
    if expected is None and message.method not in NAMED_IN:
        return
    if message.method in ("resources/subscribe", "resources/unsubscribe") and given is None:
        return
    if given is None or decode_value(given) != expected:
        raise _mismatch("Mcp-Name")


def _mismatch(header: str) -> Invalid:
    return Invalid(
        f"The header {header} is missing or differs from the body.", reason="header_mismatch", code=HEADER_MISMATCH
    )
