"""The calls that are measured, and what an upstream says to each: small, 100 KB, a list of 500 tools, 20 events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# By this version nginx tells the benchmark's calls from the gateway's own look at the list of tools.
VERSION = "2025-06-18"
TOOLS = 500
EVENTS = 20
LARGE_BYTES = 100_000
# Every second tool of the list may be used by the key whose view is filtered.
OPEN, CLOSED = "get_", "set_"
_SUNNY = "Sunny, 21 degrees, no wind"
_REPORT = (_SUNNY + ". ") * (LARGE_BYTES // len(_SUNNY + ". ") + 1)
# What these tools say, whatever they are asked.
TEXTS = {"echo": _SUNNY, "report": _REPORT[:LARGE_BYTES]}


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call: the name of its path and namespace, a title, the request; `events`: how many come back."""

    name: str
    title: str
    request: Mapping[str, Any]
    events: int = 0

    @property
    def body(self) -> bytes:
        """The request as it is sent."""
        return json.dumps(self.request, ensure_ascii=False).encode()

    def body_for(self, prefix: str) -> bytes:
        """The request where tools have other names: each with `prefix` before it."""
        params = dict(self.request["params"])
        if "name" in params:
            params["name"] = prefix + params["name"]
        return json.dumps({**self.request, "params": params}, ensure_ascii=False).encode()


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


SMALL = Call("bench", "JSON, small", _call("echo", city="Zürich", units="metric", days=3))
LARGE = Call("large", "JSON, 100 KB", _call("report", city="Zürich"))
_LISTING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
LIST = Call("list", f"tools/list, {TOOLS} tools, filtered", _LISTING)
WHOLE_LIST = Call("whole", f"tools/list, {TOOLS} tools, all of them", _LISTING)
STREAM = Call("events", f"SSE, {EVENTS} events", _call("stream", count=EVENTS, interval_ms=0), EVENTS)
CALLS = (SMALL, LARGE, LIST, STREAM)


def tools() -> list[dict[str, Any]]:
    """Return the tools that the upstream lists: those that are called, and as many others as make it TOOLS."""
    called = [_tool(name) for name in ("echo", "report", "stream", "hang")]
    others = [_tool(f"{OPEN if number % 2 else CLOSED}record_{number:03}") for number in range(TOOLS - len(called))]
    return called + others


def _tool(name: str) -> dict[str, Any]:
    words = {"type": "string", "description": "Words that the record must hold, separated by blanks"}
    limit = {"type": "integer", "description": "How many at most", "minimum": 1, "maximum": 100}
    schema = {"type": "object", "properties": {"query": words, "limit": limit}, "required": ["query"]}
    title = name.replace("_", " ").capitalize()
    return {"name": name, "title": title, "description": f"{title}: looks it up by its words.", "inputSchema": schema}


def answers() -> dict[str, dict[str, Any]]:
    """Return the answer to each call that is answered with one JSON document, by the call's name."""
    said = {"bench": TEXTS["echo"], "large": TEXTS["report"]}
    results: dict[str, dict[str, Any]] = {
        name: {"content": [{"type": "text", "text": text}]} for name, text in said.items()
    }
    results |= {"list": {"tools": tools()}, "whole": {"tools": tools()}}
    return {name: {"jsonrpc": "2.0", "id": 1, "result": result} for name, result in results.items()}
