"""What can be wrong with a configuration file, always with its place in the file and never with a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from keys import secrets
from keys.redaction import redact

_FIELD = re.compile(r"[A-Za-z_][A-Za-z_-]{0,39}")
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,80}")
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*")

# Where people choose the names themselves.
_CHOSEN = (("namespaces",), ("upstreams",), ("teams",), ("members",), ("credentials",), ("grants",))

Path = tuple[str | int, ...]


def shown_key(key: str) -> str:
    """Return how an API key is named in messages: its first characters, or the variable it comes from."""
    reference = _REFERENCE.match(key)
    return f"{reference[0]}}}" if reference else f"{secrets.shown_prefix(key)}…"


def _part(parents: Path, part: str) -> str:
    chosen = parents in _CHOSEN or parents[-1:] in _CHOSEN
    # A stray name that is no word may be an API key that was put at the wrong level.
    if parents == ("auth", "api_keys") or not (chosen or _FIELD.fullmatch(part)):
        return json.dumps(shown_key(part), ensure_ascii=False)
    part = redact(part[:80])
    return part if _PLAIN.fullmatch(part) else json.dumps(part, ensure_ascii=False)


def dotted(path: Path) -> str:
    """Return a path as people write it, such as `namespaces.github.allowed_tools[2]`; API keys are cut short."""
    text = ""
    for position, part in enumerate(path):
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + _part(path[:position], part)
    return text


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong (or, as a warning, unwise). Lines count from 1; 0 stands for the whole file."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = [f"line {self.line}"] if self.line else []
        return ": ".join([*place, *([self.path] if self.path else []), self.message])


class ConfigurationError(ValueError):
    """A configuration file cannot be used; `problems` holds everything that was found, in the file's order."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = sorted(set(problems))
        count = len(self.problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{source}: {count} problem{'s' if count > 1 else ''} found, so nothing was imported.{lines}")
