"""Reads a YAML or JSON file strictly: bounded, no tags, no duplicate keys, every value with its line.

Built on the parser's events and not on its constructor, so a bomb of aliases or of nesting is refused while it
is read, and nothing in a file can name a Python object.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from collections.abc import Mapping as Environment
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import yaml

from gateway_project.configuration.errors import ConfigurationError, Path, Problem, dotted
from gateway_project.configuration.expansion import Expander
from gateway_project.configuration.nodes import MAX_DEPTH, Entry, Mapping, Node, Scalar, Sequence

# The export of 1,000 namespaces, 5,000 keys and 20,000 grants is 7 MB with half a million values.
MAX_BYTES = 16 << 20
MAX_NODES = 1_000_000
MAX_ALIASED = 50_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its name, its bytes, its tree with variables put in, and those variables.

    `problems` are those that left a tree all the same, so that they can be shown beside what the schema finds.
    """

    name: str
    raw: bytes = field(repr=False)
    root: Mapping = field(repr=False)
    variables: dict[str, str | None] = field(repr=False)
    problems: tuple[Problem, ...] = ()


def read(path: str | os.PathLike[str], environment: Environment[str, str] | None = None) -> Source:
    """Read the YAML (or, by the suffix `.json`, JSON) file at `path`, at most 16 MiB of UTF-8 text.

    Args: environment: where `${VAR}` is looked up; the process's own by default.
    Raises ConfigurationError when no tree can be made of it; lesser problems stand in the result.
    """
    name = FilePath(path).name
    raw = _bytes(path, name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(name, [Problem(line, "", "this is not UTF-8 text")]) from None
    if name.lower().endswith(".json"):
        text = _json_text(name, text)
    root, problems = _tree(name, text)
    if not isinstance(root, Mapping):
        problems.append(Problem(0, "", "the file must be a mapping with keys such as namespaces: and auth:"))
        raise ConfigurationError(name, problems)
    if not root.entries:
        raise ConfigurationError(name, [*problems, Problem(0, "", "the file is empty")])
    expander = Expander(os.environ if environment is None else environment)
    expanded = expander.expand(root)
    assert isinstance(expanded, Mapping)  # noqa: S101 - a mapping expands to a mapping
    return Source(name, raw, expanded, expander.used, (*problems, *expander.problems))


def _bytes(path: str | os.PathLike[str], name: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(name, [Problem(0, "", f"cannot be read: {error.strerror}")]) from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(name, [Problem(0, "", f"larger than {MAX_BYTES >> 20} MiB, the most that is read")])
    return raw


def _json_text(name: str, text: str) -> str:
    """Check that `text` is JSON, and return it as the YAML reader takes it (no tabs, no surrogate pairs)."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(name, [Problem(error.lineno, "", f"not JSON: {error.msg}")]) from None
    except RecursionError:
        raise ConfigurationError(name, [Problem(0, "", f"nested more than {MAX_DEPTH} levels deep")]) from None
    return _PAIR.sub(lambda match: match[1] + json.loads(f'"{match[2]}"'), text.replace("\t", " "))


def _tree(name: str, text: str) -> tuple[Node, list[Problem]]:
    builder = _Builder()
    try:
        return builder.document(yaml.parse(text, Loader=_LOADER)), builder.problems
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # Never str(error): it quotes the line, and with it whatever secret stands there.
        message = getattr(error, "problem", None) or "a character that YAML does not allow"
        found = Problem(mark.line + 1 if mark else 0, "", f"not YAML: {message}")
    except _Refused as refused:
        found = refused.problem
    raise ConfigurationError(name, [*builder.problems, found]) from None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


class _Refused(Exception):
    """Reading cannot go on."""

    def __init__(self, line: int, path: Path, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, dotted(path), message)


class _Builder:
    """Builds the tree from parser events, counting what aliases would multiply."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0
        self._aliased = 0

    def document(self, events: Iterator[yaml.Event]) -> Node:
        self._events = events
        next(events)
        if isinstance(next(events), yaml.StreamEndEvent):
            return Mapping({})
        root = self._node(next(events), ())
        next(events)
        event = next(events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _Refused(_line(event), (), "a second document begins here (---); one file holds one")
        return root

    def _node(self, event: yaml.Event, path: Path) -> Node:
        line = _line(event)
        if len(path) > MAX_DEPTH:
            raise _Refused(line, path[:3], f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, line, path)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)  # noqa: S101 - what else begins a node
        if event.tag is not None:
            raise _Refused(line, path, "tags (!…) are not understood here; write a plain value")
        before = self._count
        self._add(1, line, path)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(event.value, line, plain=event.implicit[0])
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(line, path)
        else:
            node = self._mapping(line, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _add(self, nodes: int, line: int, path: Path) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            raise _Refused(line, path, f"the file holds more than {MAX_NODES} values")

    def _alias(self, event: yaml.AliasEvent, line: int, path: Path) -> Node:
        if event.anchor not in self._anchors:
            raise _Refused(line, path, f"*{str(event.anchor)[:40]} stands for nothing above it, or holds itself")
        node, size = self._anchors[str(event.anchor)]
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise _Refused(line, path, f"aliases (*{str(event.anchor)[:40]}) repeat more than {MAX_ALIASED} values")
        self._add(size, line, path)
        return node

    def _sequence(self, line: int, path: Path) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return Sequence(tuple(items), line)

    def _mapping(self, line: int, path: Path) -> Mapping:
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key_line = _line(event)
            key = self._node(event, path)
            if not isinstance(key, Scalar):
                raise _Refused(key_line, path, "a list or a mapping cannot be a key")
            here = (*path, key.text)
            value = self._node(next(self._events), here)
            if key.text == "<<" and key.plain:
                merged.extend(value.items if isinstance(value, Sequence) else [value])
            elif key.text in entries:
                first = entries[key.text].line
                self.problems.append(
                    Problem(key_line, dotted(here), f"stands here a second time (first: line {first})")
                )
            else:
                entries[key.text] = Entry(key_line, value)
        for source in merged:
            if not isinstance(source, Mapping):
                raise _Refused(line, path, "<<: takes mappings only")
            for name, entry in source.entries.items():
                entries.setdefault(name, entry)
        return Mapping(entries, line)
