"""The invented world of `seed_log`: its namespaces, upstreams, tools, users and keys. Pure, and always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_UPSTREAMS = (
    *("crm", "erp", "wiki", "billing", "warehouse", "tickets", "git", "calendar"),
    *("mail", "metrics", "files", "search", "payroll", "monitor", "assets", "forms"),
)
_NOUNS = (
    *("orders", "invoices", "customers", "articles", "tickets", "pages", "branches", "events", "messages", "alerts"),
    *("documents", "contracts", "payslips", "dashboards", "images", "surveys", "leads", "stock", "suppliers", "runs"),
    *("refunds", "accounts", "comments", "releases", "meetings", "threads", "traces", "reports", "holidays", "hosts"),
    *("layouts", "answers", "campaigns", "shipments", "budgets", "issues", "spaces", "commits", "rooms", "contacts"),
    *("queries", "folders", "bonuses", "incidents", "licences", "forms", "deals", "pallets", "quotes", "merges"),
)
_VERBS = (
    *("search", "get", "list", "update", "create", "summarise", "export", "compare", "count", "tag"),
    *("archive", "restore", "approve", "reject", "assign", "merge", "validate", "translate", "watch", "delete"),
)
_FIRST = (
    *("anna", "ben", "chloe", "david", "elif", "farid", "grace", "hugo", "ines", "jonas", "kavya", "liam", "mei"),
    *("nina", "omar", "petra", "quinn", "rosa", "samir", "tara", "umut", "vera", "wei", "yusuf", "zoe"),
)
_LAST = (
    *("adler", "bauer", "costa", "dubois", "ek", "fischer", "garcia", "haas", "ito", "jansen"),
    *("keller", "lopez", "meyer", "novak", "okafor", "patel", "rossi", "sato", "tanaka", "weber"),
)
# One user of seven holds a second key.
_SECOND_KEY_EACH = 7


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of a namespace: how long it usually takes (microseconds), and how many times that since it became slow."""

    namespace: str
    name: str
    usual_us: int
    slower: float = 1.0


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is named, the busiest first. `mounts` pairs namespaces with upstreams; keys are numbers."""

    mounts: tuple[tuple[str, str], ...]
    tools: tuple[Tool, ...]
    users: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def keys(self) -> tuple[tuple[int, str], ...]:
        """The number and the user of each key."""
        return tuple((key, user) for user, keys in self.users for key in keys)


def world(namespaces: int, users: int, tools: int) -> World:
    """Return the world with so many namespaces, users, and tools in each namespace.

    Some tools are slow, and one of the busiest has become slow a few days ago.
    """
    nouns = [_numbered(_NOUNS, number) for number in range(namespaces)]
    return World(
        tuple((noun, _UPSTREAMS[number % len(_UPSTREAMS)]) for number, noun in enumerate(nouns)),
        tuple(_tool(noun, place, number) for place, noun in enumerate(nouns) for number in range(tools)),
        tuple((_user(number), _keys(number, users)) for number in range(users)),
    )


def _tool(noun: str, place: int, number: int) -> Tool:
    # Spread over 4 to 250 ms by a fixed scramble; every forty-first takes seconds.
    scramble = (place * 7919 + number * 104_729) % 997
    usual_us = int(4000 * 62 ** (scramble / 996)) * (25 if scramble % 41 == 5 else 1)
    became_slow = (place, number) == (1, 0)
    return Tool(
        noun, f"{_numbered(_VERBS, number)}_{noun}", 18_000 if became_slow else usual_us, 40.0 if became_slow else 1.0
    )


def _user(number: int) -> str:
    # The scramble keeps the busiest from all being called Anna.
    place = number * 173 % 500 if number < 500 else number
    name = f"{_FIRST[place // 20 % len(_FIRST)]}.{_LAST[place % 20]}"
    return name if number < 500 else f"{name}{number // 500 + 1}"


def _keys(number: int, users: int) -> tuple[int, ...]:
    first = number + 1
    return (first, users + 1 + number // _SECOND_KEY_EACH) if number % _SECOND_KEY_EACH == 0 else (first,)


def _numbered(words: Sequence[str], number: int) -> str:
    """Return a word of the list; when they are used up, a word with a number."""
    again = number // len(words)
    return words[number % len(words)] + (f"-{again + 1}" if again else "")
