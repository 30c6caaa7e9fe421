"""What a restricted view does to results: lists lose hidden entries, capabilities lose hidden kinds.

Entries that stay keep their bytes: the list is cut out of the message and put together again, nothing inside
an entry is decoded and written anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from proxy.errors import UpstreamFailed
from proxy.half_pairs import put_back, take_out
from proxy.policy import View

# list method -> (member of the result, kind, member that names an entry)
LISTS = {
    "tools/list": ("tools", "tool", "name"),
    "prompts/list": ("prompts", "prompt", "name"),
    "resources/list": ("resources", "resource", "uri"),
    "resources/templates/list": ("resourceTemplates", "template", "uriTemplate"),
}
_OPENINGS = ("initialize", "server/discover")
# Methods whose results are looked into; the others' pass as they are.
TELLING = frozenset((*LISTS, *_OPENINGS))
_CAPABILITY_OF = {"tool": "tools", "prompt": "prompts", "resource": "resources"}
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entries = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")


def changes(view: View, method: str) -> bool:
    """Return whether a result of `method` may have to be changed for this view."""
    if method in LISTS:
        return view.restricts[LISTS[method][1]]
    return view.restricted and method in _OPENINGS


def apply(view: View, method: str, body: bytes, result: dict[str, Any], list_ttl_ms: int) -> bytes:
    """Return the response `body` as this view may see it.

    Args: result: the decoded result of the same body; list_ttl_ms: the longest life of a cached list, in
    milliseconds (a change of the rules must not be outlived by a cache).
    Raises UpstreamFailed for what cannot be put together again.
    """
    return _rewritten(body, lambda text: _apply(view, method, text, result, list_ttl_ms))


def _rewritten(body: bytes, work: Callable[[bytes], bytes]) -> bytes:
    """Do `work` on an upstream's message, also where half a surrogate pair stands in it."""
    try:
        return work(body)
    except msgspec.DecodeError:
        text, stand_ins = take_out(body)
    try:
        return put_back(work(text), stand_ins)
    except msgspec.DecodeError:
        raise UpstreamFailed("The upstream's answer is not valid JSON.", reason="answer_invalid") from None


def _apply(view: View, method: str, body: bytes, result: dict[str, Any], list_ttl_ms: int) -> bytes:
    message = _members.decode(body)
    members = _members.decode(message["result"])
    if method in LISTS:
        member, kind, name_in = LISTS[method]
        _filter_list(view, members, result, member, kind, name_in)
    else:
        _mask_capabilities(view, members, result)
    if "cacheScope" in members:
        members["cacheScope"] = msgspec.Raw(b'"private"')
    if isinstance(result.get("ttlMs"), int):
        members["ttlMs"] = msgspec.Raw(b"%d" % max(0, min(result["ttlMs"], list_ttl_ms)))
    message["result"] = msgspec.Raw(_encode(members))
    return _encode(message)


def _filter_list(
    view: View, members: dict[str, msgspec.Raw], result: dict[str, Any], member: str, kind: str, name_in: str
) -> None:
    listed = result.get(member)
    if not isinstance(listed, list):
        members.pop(member, None)
        return
    raw = _entries.decode(members[member])
    members[member] = msgspec.Raw(
        _encode(
            [
                piece
                for piece, entry in zip(raw, listed, strict=True)
                if isinstance(entry, dict) and isinstance(entry.get(name_in), str) and view.allows(kind, entry[name_in])
            ]
        )
    )


def _mask_capabilities(view: View, members: dict[str, msgspec.Raw], result: dict[str, Any]) -> None:
    if not isinstance(result.get("capabilities"), dict):
        members.pop("capabilities", None)
        return
    capabilities = _members.decode(members["capabilities"])
    for kind, name in _CAPABILITY_OF.items():
        if view.hides_all(kind):
            capabilities.pop(name, None)
    if view.hides_all("prompt") and view.hides_all("resource"):
        capabilities.pop("completions", None)
    members["capabilities"] = msgspec.Raw(_encode(capabilities))


def result_bytes(body: bytes) -> bytes:
    """Return the bytes of a response's result, which tell two answers apart whatever their ids."""
    return _rewritten(body, lambda text: bytes(_members.decode(text)["result"]))


def with_id(body: bytes, identifier: str | int | None) -> bytes:
    """Return a JSON-RPC message with another id, every other member's bytes unchanged.

    Raises UpstreamFailed for what cannot be put together again.
    """
    return _rewritten(body, lambda text: _with_id(text, identifier))


def _with_id(body: bytes, identifier: str | int | None) -> bytes:
    message = _members.decode(body)
    message["id"] = msgspec.Raw(json.dumps(identifier).encode())
    return _encode(message)


def with_params(body: bytes, identifier: str | int, meta: dict[str, Any]) -> bytes:
    """Return a request with another id and with `meta` laid over its `params._meta`; other bytes unchanged."""
    message = _members.decode(body)
    params = _members.decode(message["params"]) if "params" in message else {}
    own = _members.decode(params["_meta"]) if params.get("_meta", _NULL) != _NULL else {}
    own.update({key: msgspec.Raw(_encode(value)) for key, value in meta.items()})
    params["_meta"] = msgspec.Raw(_encode(own))
    message["id"] = msgspec.Raw(json.dumps(identifier).encode())
    message["params"] = msgspec.Raw(_encode(params))
    return _encode(message)
