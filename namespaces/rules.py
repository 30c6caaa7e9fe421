"""Access rules as pure values: which names a namespace or a grant lets through. Knows nothing of Django."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_PATTERN_LENGTH = 512
MAX_STARS = 8
MODES = ("all", "listed", "none")


def is_glob(pattern: str) -> bool:
    """Return whether `pattern` holds a wildcard (`*` any text, `?` one character; nothing else is special)."""
    return "*" in pattern or "?" in pattern


def check_pattern(pattern: str) -> str | None:
    """Return what is wrong with a rule's pattern, or None when it is fine."""
    if not pattern:
        return "an empty name matches nothing; remove it"
    if len(pattern) > MAX_PATTERN_LENGTH:
        return f"longer than {MAX_PATTERN_LENGTH} characters"
    if pattern.count("*") > MAX_STARS:
        return f"more than {MAX_STARS} wildcards"
    if any(ord(character) < 32 or ord(character) == 127 for character in pattern):
        return "holds a control character"
    if pattern != pattern.strip():
        return "begins or ends with a blank"
    return None


def _compile(patterns: Iterable[str]) -> tuple[frozenset[str], re.Pattern[str] | None]:
    """Split patterns into exact names and one expression for the globs."""
    exact = frozenset(pattern for pattern in patterns if not is_glob(pattern))
    globs = sorted(pattern for pattern in patterns if is_glob(pattern))
    if not globs:
        return exact, None
    # fnmatch.translate makes atomic groups (Python 3.11), so matching stays linear; `[` is literal here.
    return exact, re.compile("|".join(fnmatch.translate(glob.replace("[", "[[]")) for glob in globs))


@dataclass(frozen=True, slots=True)
class NameRule:
    """One list of one kind (tools, prompts or resources): a mode, the names listed, the names denied."""

    mode: str = "all"
    listed: frozenset[str] = frozenset()
    listed_globs: re.Pattern[str] | None = None
    denied: frozenset[str] = frozenset()
    denied_globs: re.Pattern[str] | None = None

    @classmethod
    def build(cls, mode: str, listed: Iterable[str], denied: Iterable[str]) -> NameRule:
        """Compile a rule. `mode` is all, listed or none; anything else counts as none (nothing fails open)."""
        if mode not in MODES:
            mode = "none"
        exact, globs = _compile(tuple(listed) if mode == "listed" else ())
        denied_exact, denied_globs = _compile(tuple(denied))
        return cls(mode, exact, globs, denied_exact, denied_globs)

    @property
    def restricts(self) -> bool:
        """Whether any name at all may be hidden by this rule."""
        return self.mode != "all" or bool(self.denied) or self.denied_globs is not None

    def allows(self, name: str) -> bool:
        """Return whether `name`, taken to the letter, passes. The deny list always wins."""
        if self.mode == "none" or name in self.denied:
            return False
        if self.denied_globs is not None and self.denied_globs.match(name):
            return False
        if self.mode == "all" or name in self.listed:
            return True
        return self.listed_globs is not None and self.listed_globs.match(name) is not None


ALLOW_ALL = NameRule()
ALLOW_NONE = NameRule(mode="none")


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The three rules that stand on a namespace or on a grant."""

    tools: NameRule = ALLOW_ALL
    prompts: NameRule = ALLOW_ALL
    resources: NameRule = ALLOW_ALL
