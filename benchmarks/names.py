"""What there is to look at: the names that a person may see, busy and quiet ones, to fill addresses with."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from analytics import queries
from keys.visibility import Scope

_MONTH = timedelta(days=30)
# What a name of the log is called in an address (tests/routes.py).
_KINDS = {"user_id": "user", "key_id": "key"}
_CALLS, _MOMENTS = 20, 10
Names = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The names that one scope shows: by kind, or pair of kinds, what there is and how many calls it had."""

    found: Mapping[tuple[str, ...], Sequence[tuple[Names, int]]]

    def pick(self, chance: random.Random, kinds: Iterable[str]) -> Names:
        """Return names for these kinds, which belong together; half the time by calls, half the time any alike.

        Raises LookupError for kinds that are not looked at together.
        """
        wanted = frozenset(kinds)
        if not wanted:
            return {}
        candidates = next((rows for kinds, rows in self.found.items() if wanted <= set(kinds)), ())
        if not candidates:
            raise LookupError(f"there are no names for {', '.join(sorted(wanted))}")
        if chance.random() < 0.5:
            ((names, _),) = chance.choices(candidates, [calls for _, calls in candidates])
        else:
            names, _ = chance.choice(candidates)
        return names

    def busiest(self, kind: str) -> list[str]:
        """Return the names of a kind, the one with most calls first."""
        return [str(names[kind]) for names, _ in self.found[(kind,)]]


def seen_by(scope: Scope, chance: random.Random) -> Catalogue:
    """Return the names that calls of the last 30 days had, as far as the scope shows them."""
    found: dict[tuple[str, ...], list[tuple[Names, int]]] = {}
    with queries.reading() as reading:
        view = queries.View(reading.now - _MONTH, reading.now, scope)
        for by in (("namespace",), ("upstream",), ("user_id",), ("key_id",), ("tool", "namespace")):
            groups = queries.ranking(reading, view, by, limit=queries.MAX_GROUPS, with_percentiles=False)
            kinds = tuple(_KINDS.get(name, name) for name in by)
            found[kinds] = [
                ({kind: group.names[name] for kind, name in zip(kinds, by, strict=True)}, group.measures.calls)
                for group in groups
            ]
        found[("call",)] = [({"call": identifier}, 1) for identifier in _calls(reading, view, chance)]
    return Catalogue(found)


def _calls(reading: queries.Reading, view: queries.View, chance: random.Random) -> list[str]:
    """Return the ids of some calls from here and there in the period."""
    found = []
    for _ in range(_MOMENTS):
        until = reading.now - _MONTH * chance.random()
        part = queries.View(view.since, until, view.scope)
        found += [str(call.id) for call in queries.calls(reading, part, queries.CallFilter(), limit=_CALLS).calls]
    return found
