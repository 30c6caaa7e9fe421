"""`${VAR}` inside values: the variables of the environment, put in after parsing so that none can change the structure.

`${VAR}` is the variable's value and an error when it is not set; `${VAR:-text}` is `text` when it is unset or
empty; `$${` is a literal `${`. Keys are left alone, but for the API keys under `auth.api_keys` (A.11, A.16).
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Environment

from gateway_project.configuration.errors import Path, Problem, dotted
from gateway_project.configuration.nodes import MAX_DEPTH, Entry, Mapping, Node, Scalar, Sequence

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{")
# The installation's own secrets: a file that names one would publish it in a description or a header.
FORBIDDEN = frozenset(
    "GATEWAY_SECRET_KEY GATEWAY_ENCRYPTION_KEYS GATEWAY_KEY_PEPPER DATABASE_URL DATABASE_DIRECT_URL REDIS_URL"
    " GATEWAY_RATE_LIMIT__REDIS_URL".split()
)


class Expander:
    """Expands a tree; `problems` collects what cannot be, `used` the variables and values that were put in."""

    def __init__(self, environment: Environment[str, str]) -> None:
        self._environment = environment
        self.problems: list[Problem] = []
        self.used: dict[str, str | None] = {}

    def expand(self, node: Node, path: Path = ()) -> Node:
        """Return `node` with every reference in its values replaced."""
        if len(path) > MAX_DEPTH:
            # Aliases of aliases are as deep as their chain, which the reader does not see.
            self._complain(node.line, path[:3], f"nested more than {MAX_DEPTH} levels deep")
            return node
        if isinstance(node, Scalar):
            text = self._text(node.text, path, node.line)
            return Scalar(text, node.line, node.plain, expanded=True) if text != node.text else node
        if isinstance(node, Sequence):
            items = tuple(self.expand(item, (*path, position)) for position, item in enumerate(node.items))
            return Sequence(items, node.line)
        entries: dict[str, Entry] = {}
        for written, entry in node.entries.items():
            here = (*path, written)
            name = self._text(written, here, entry.line) if path == ("auth", "api_keys") else written
            if name in entries:
                self.problems.append(Problem(entry.line, dotted((*path, name)), "two entries have this same key"))
            entries[name] = Entry(entry.line, self.expand(entry.value, (*path, name)))
        return Mapping(entries, node.line)

    def _text(self, text: str, path: Path, line: int) -> str:
        if "${" not in text:
            return text

        def value(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            if match["name"] is None:
                self._complain(line, path, "“${” opens no variable; write ${NAME}, ${NAME:-default}, or $${ for itself")
                return ""
            return self._value(match["name"], match["default"], path, line)

        return _REFERENCE.sub(value, text)

    def _value(self, name: str, default: str | None, path: Path, line: int) -> str:
        if name in FORBIDDEN:
            self._complain(line, path, f"{name} is the gateway's own secret and may not be used in a file")
            return ""
        found = self._environment.get(name)
        self.used[name] = found
        if default is not None:
            return found or default
        if found is None:
            self._complain(
                line, path, f"the variable {name} is not set; set it, or give a default: ${{{name}:-default}}"
            )
            return ""
        return found

    def _complain(self, line: int, path: Path, message: str) -> None:
        self.problems.append(Problem(line, dotted(path), message))
