"""One mapping of a configuration file being checked: takes fields off it, notes every problem, goes on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from gateway_project.configuration.errors import Path, Problem, dotted
from gateway_project.configuration.moments import parse_duration, parse_moment
from gateway_project.configuration.nodes import Mapping, Node, Scalar, Sequence
from keys.redaction import MASK

_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,20})?")
_WHOLE = re.compile(r"-?\d{1,19}")
_KINDS = {Mapping: "a mapping", Sequence: "a list", Scalar: "a single value"}


def column_of(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    """Return a model's column by its name."""
    column = model._meta.get_field(name)
    assert isinstance(column, models.Field)  # noqa: S101 - not a relation's far end
    return column


class Findings:
    """What was found wrong (`problems`) or unwise (`warnings`) so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def problem(self, line: int, path: Path, message: str) -> None:
        """Note something that forbids the import."""
        self.problems.append(Problem(line, dotted(path), message))

    def warn(self, line: int, path: Path, message: str) -> None:
        """Note something that the admin should know."""
        self.warnings.append(Problem(line, dotted(path), message))


class Form:
    """Takes fields off one mapping. A value that is wrong is noted and reads as None, as an absent one does."""

    def __init__(self, findings: Findings, node: Node | None, path: Path, line: int = 0) -> None:
        self.findings = findings
        self.path = path
        # The line of the name above, where there is one: a mapping itself begins a line later.
        self.line = line or (node.line if node is not None else 0)
        self._asked: list[str] = []
        self._entries = {}
        if isinstance(node, Mapping):
            self._entries = node.entries
        elif node is not None and not (isinstance(node, Scalar) and node.is_null):
            self.problem(f"must be a mapping (name: value), not {_KINDS[type(node)]}")

    def __iter__(self) -> Iterator[tuple[str, int, Node]]:
        """Yield (name, line, value) of every entry: for mappings whose keys the admin chooses."""
        for name, entry in self._entries.items():
            self._asked.append(name)
            yield name, entry.line, entry.value

    def problem(self, message: str, *names: str | int, line: int = 0) -> None:
        """Note a problem with this mapping, or with what lies under `names`."""
        self.findings.problem(line or self.line_of(*names[:1]), (*self.path, *names), message)

    def line_of(self, *names: str | int) -> int:
        """Return the line of a field, or of the mapping itself when there is none."""
        entry = self._entries.get(str(names[0])) if names else None
        return entry.line if entry else self.line

    def states(self, name: str) -> bool:
        """Return whether the field is written at all, even as null."""
        self._asked.append(name)
        return name in self._entries

    def node(self, name: str) -> Node | None:
        """Return a field's node; None when it is absent or null."""
        if not self.states(name):
            return None
        value = self._entries[name].value
        return None if isinstance(value, Scalar) and value.is_null else value

    def form(self, name: str) -> Form:
        """Return a nested mapping; an empty one when it is absent."""
        return Form(self.findings, self.node(name), (*self.path, name), self.line_of(name))

    def items(self, name: str) -> list[tuple[int, Node]]:
        """Return the (position, node) pairs of a list; none when it is absent."""
        node = self.node(name)
        if node is None:
            return []
        if not isinstance(node, Sequence):
            self.problem(f"must be a list, not {_KINDS[type(node)]}", name)
            return []
        return list(enumerate(node.items))

    def scalar(self, name: str) -> Scalar | None:
        """Return a single value; None when it is absent or null."""
        node = self.node(name)
        return None if node is None else self._single(node, name)

    def _single(self, node: Node, *names: str | int) -> Scalar | None:
        if not isinstance(node, Scalar):
            self.problem(f"must be a single value, not {_KINDS[type(node)]}", *names)
            return None
        if _CONTROL.search(node.text):
            self.problem("holds a control character", *names, line=node.line)
            return None
        return node

    def text(self, name: str) -> str | None:
        """Return a field as text; a variable's without the blanks and line ends that often surround it."""
        value = self.scalar(name)
        if value is None:
            return None
        return value.text.strip() if value.expanded else value.text

    def texts(self, name: str) -> list[str] | None:
        """Return a list of texts without repetitions; None when it is absent."""
        if self.node(name) is None:
            return None
        found: dict[str, None] = {}
        for position, node in self.items(name):
            value = self._single(node, name, position)
            if value is not None and value.is_null:
                self.problem("is empty; remove it or write a value", name, position, line=node.line)
            elif value is not None:
                found[value.text] = None
        return list(found)

    def flag(self, name: str) -> bool | None:
        """Return a field as true or false."""
        value = self.scalar(name)
        if value is None:
            return None
        if (result := _SWITCH.get(value.text.strip().lower())) is None:
            self.problem("must be true or false", name)
        return result

    def whole(self, name: str) -> int | None:
        """Return a field as a whole number."""
        value = self.scalar(name)
        if value is None:
            return None
        if not _WHOLE.fullmatch(value.text.strip()):
            self.problem("must be a whole number", name)
            return None
        return int(value.text)

    def seconds(self, name: str) -> float | None:
        """Return a field as seconds: a number, or a duration such as 30s."""
        value = self.scalar(name)
        if value is None:
            return None
        text = value.text.strip()
        try:
            return float(text) if _NUMBER.fullmatch(text) else parse_duration(text)
        except ValueError as error:
            self.problem(f"must be a number of seconds or a duration; {error}", name)
            return None

    def moment(self, name: str) -> datetime | None:
        """Return a field as a point in time, UTC."""
        value = self.scalar(name)
        if value is None:
            return None
        try:
            return parse_moment(value.text.strip())
        except ValueError as error:
            self.problem(str(error), name)
            return None

    def checked(self, column: models.Field[Any, Any], value: Any, *names: str | int) -> Any:
        """Return `value` if a model's column takes it; otherwise note why not and return None."""
        try:
            return column.clean(value, None)
        except ValidationError as error:
            for message in dict.fromkeys(error.messages):
                self.problem(self._masked(message, names), *names)
            return None

    def passes(self, validator: Callable[[Any], None], value: Any, *names: str | int) -> bool:
        """Return whether a validator takes `value`; note why not."""
        try:
            validator(value)
        except ValidationError as error:
            self.problem(self._masked(error.messages[0], names), *names)
            return False
        return True

    def _masked(self, message: str, names: tuple[str | int, ...]) -> str:
        """Take the value of a variable out of a validator's message."""
        for value in self._scalars(*names[:1]):
            if value.expanded and value.text:
                for shown in (repr(value.text[:80]), repr(value.text), value.text):
                    message = message.replace(shown, MASK)
        return message

    def is_expanded(self, name: str) -> bool:
        """Return whether a variable stands in a field or in an item of its list."""
        return any(value.expanded for value in self._scalars(name))

    def _scalars(self, *names: str | int) -> list[Scalar]:
        entry = self._entries.get(str(names[0])) if names else None
        nodes = entry.value.items if entry and isinstance(entry.value, Sequence) else [entry.value] if entry else []
        return [node for node in nodes if isinstance(node, Scalar)]

    def ignore(self, prefix: str) -> None:
        """Let fields with this prefix stand unread: a place for anchors, as Compose files have it."""
        self._asked.extend(name for name in self._entries if name.startswith(prefix))

    def finish(self) -> None:
        """Note every field that nobody asked for, with the nearest one that there is."""
        known = list(dict.fromkeys(self._asked))
        for name, entry in self._entries.items():
            if name in known:
                continue
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
            self.problem(f"unknown field; {hint}", name, line=entry.line)
