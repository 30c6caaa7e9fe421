"""A configuration file as a tree that remembers its lines. Scalars stay text: the schema knows their types."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_DEPTH = 32
NULLS = frozenset(("", "~", "null", "Null", "NULL"))


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value. `plain`: written without quotes; `expanded`: holds the value of an environment variable."""

    text: str = field(repr=False)
    line: int = 0
    plain: bool = True
    expanded: bool = False

    @property
    def is_null(self) -> bool:
        """Whether the value is absent: nothing, `~` or `null`, without quotes."""
        return self.plain and not self.expanded and self.text in NULLS


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping with its line and its value."""

    line: int
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping in the file's order."""

    entries: dict[str, Entry] = field(repr=False)
    line: int = 0


Node = Scalar | Sequence | Mapping
