"""The demo server's four tools: what they are called with, and what they answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class ToolError(Exception):
    """The call cannot be done; the message goes to the caller."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its definition as `tools/list` shows it, and the function behind it (arguments → result object)."""

    name: str
    title: str
    description: str
    properties: dict[str, dict[str, Any]]
    required: tuple[str, ...]
    result: dict[str, dict[str, Any]]
    run: Callable[[dict[str, Any]], dict[str, Any]]

    def definition(self) -> dict[str, Any]:
        """Return the tool as `tools/list` shows it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": self.properties,
                "required": list(self.required),
                "additionalProperties": False,
            },
            "outputSchema": {"type": "object", "properties": self.result, "required": list(self.result)},
            "annotations": {"readOnlyHint": True},
        }

    def call(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Check the arguments against the schema and run the tool. Raises ToolError."""
        for name in self.required:
            if name not in arguments:
                raise ToolError(f"{self.name} needs the argument {name!r}.")
        for name, value in arguments.items():
            if name not in self.properties:
                raise ToolError(f"{self.name} knows no argument {name!r}.")
            _check(name, value, self.properties[name])
        return self.run(arguments)


def _check(name: str, value: Any, schema: dict[str, Any]) -> None:
    kinds: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "integer": (int,)}
    kind = schema["type"]
    if isinstance(value, bool) or not isinstance(value, kinds[kind]):
        raise ToolError(f"{name} must be of type {kind}.")
    if kind != "string" and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        raise ToolError(f"{name} must lie between {schema['minimum']} and {schema['maximum']}.")


def _echo(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"text": arguments["text"]}


def _add(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"sum": arguments["a"] + arguments["b"]}


def _time(arguments: dict[str, Any]) -> dict[str, Any]:
    zone = arguments.get("zone", "UTC")
    try:
        now = datetime.now(UTC if zone == "UTC" else ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ToolError(f"There is no time zone {zone!r}; an example is Europe/Berlin.") from None
    return {"time": now.isoformat(timespec="seconds"), "zone": zone}


def _roll_dice(arguments: dict[str, Any]) -> dict[str, Any]:
    sides = arguments.get("sides", 6)
    rolls = [secrets.randbelow(sides) + 1 for _ in range(arguments.get("count", 1))]
    return {"rolls": rolls, "total": sum(rolls)}


_BOUND = 1e15  # sums stay exact integers, and finite
TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "echo",
            "Echo",
            "Returns the text that it is given.",
            {"text": {"type": "string", "description": "What to return."}},
            ("text",),
            {"text": {"type": "string"}},
            _echo,
        ),
        Tool(
            "add",
            "Add",
            "Adds two numbers.",
            {
                "a": {"type": "number", "minimum": -_BOUND, "maximum": _BOUND, "description": "The first number."},
                "b": {"type": "number", "minimum": -_BOUND, "maximum": _BOUND, "description": "The second number."},
            },
            ("a", "b"),
            {"sum": {"type": "number"}},
            _add,
        ),
        Tool(
            "time",
            "Time",
            "Tells the time in a time zone.",
            {"zone": {"type": "string", "description": "IANA name such as Europe/Berlin; UTC when left out."}},
            (),
            {"time": {"type": "string"}, "zone": {"type": "string"}},
            _time,
        ),
        Tool(
            "roll_dice",
            "Roll dice",
            "Rolls dice and adds them up.",
            {
                "count": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How many; 1 when left out."},
                "sides": {"type": "integer", "minimum": 2, "maximum": 1000, "description": "6 when left out."},
            },
            (),
            {"rolls": {"type": "array", "items": {"type": "integer"}}, "total": {"type": "integer"}},
            _roll_dice,
        ),
    )
}
