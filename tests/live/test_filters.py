"""Which rows a socket gets: what its caller may see comes first, and no filter widens it."""

from __future__ import annotations

from typing import Any

import pytest

from analytics.live_filters import FilterError, Gate, LiveFilter
from analytics.live_rows import Row
from keys.visibility import Scope

EVERYTHING = Scope(sees_addresses=True)


def row(**values: Any) -> Row:
    return {
        "namespace": "first",
        "user_id": "alice",
        "tool": "echo",
        "upstream": "light",
        "outcome": "ok",
        "latency_ms": 12.0,
    } | values


ROWS = [
    row(namespace=namespace, user_id=user) for namespace in ("first", "second", None) for user in ("alice", "bob", None)
]


def seen(scope: Scope, **asked: Any) -> list[tuple[Any, Any]]:
    gate = Gate(scope, LiveFilter.parse(asked))
    return [(found["namespace"], found["user_id"]) for found in ROWS if gate.lets(found)]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (EVERYTHING, [(found["namespace"], found["user_id"]) for found in ROWS]),
        (Scope(("first",), None), [("first", "alice"), ("first", "bob"), ("first", None)]),
        (Scope(None, ("alice",)), [("first", "alice"), ("second", "alice"), (None, "alice")]),
        (Scope(("first",), ("alice",)), [("first", "alice")]),
        (Scope(("second",), ("alice",)), [("second", "alice")]),
        (Scope((), ()), []),
        (Scope((), None), []),
        (Scope(None, ()), []),
    ],
)
def test_a_scope_lets_through_its_own_rows_alone(scope: Scope, expected: list[tuple[Any, Any]]) -> None:
    assert seen(scope) == expected


@pytest.mark.parametrize("asked", [{"namespace": "second"}, {"user": "bob"}, {"namespace": "second", "user": "bob"}])
def test_no_filter_widens_a_scope(asked: dict[str, Any]) -> None:
    assert seen(Scope(("first",), ("alice",)), **asked) == []


@pytest.mark.parametrize(
    ("asked", "let_through", "held_back"),
    [
        ({"tool": "echo"}, row(), row(tool="echo2")),
        ({"tool": "echo"}, row(), row(tool=None)),
        ({"upstream": "light"}, row(), row(upstream="dark")),
        ({"outcome": "timeout"}, row(outcome="timeout"), row()),
        ({"errors_only": True}, row(outcome="denied"), row()),
        ({"slower_than_ms": 10}, row(), row(latency_ms=9.999)),
        ({"slower_than_ms": 12.0}, row(), row(latency_ms=11.0)),
        ({"user": "Alice"}, row(user_id="Alice"), row()),
    ],
)
def test_a_filter_asks_for_exact_values(asked: dict[str, Any], let_through: Row, held_back: Row) -> None:
    gate = Gate(EVERYTHING, LiveFilter.parse(asked))
    assert gate.lets(let_through)
    assert not gate.lets(held_back)


def test_a_name_that_is_cut_is_found_by_the_whole_of_it() -> None:
    gate = Gate(EVERYTHING, LiveFilter.parse({"tool": "t" * 300}))
    assert gate.lets(row(tool="t" * 120 + "…"))


@pytest.mark.parametrize(
    "asked",
    [
        {"namespace": 1},
        {"namespace": ["first"]},
        {"namespace": {"$ne": 1}},
        {"namespace": "n" * 513},
        {"outcome": "nonsense"},
        {"outcome": ["ok"]},
        {"errors_only": 1},
        {"errors_only": "true"},
        {"mine": "yes"},
        {"slower_than_ms": -1},
        {"slower_than_ms": 1e300},
        {"slower_than_ms": True},
        {"slower_than_ms": "10"},
        {"slower_than_ms": float("inf")},
        {"user_id": "bob"},
        {"sees_addresses": True},
        {"__class__": "x"},
        {"x" * 500: 1},
    ],
)
def test_a_filter_that_is_none_is_refused_by_name(asked: dict[str, Any]) -> None:
    with pytest.raises(FilterError) as refused:
        LiveFilter.parse({"type": "filter"} | asked)
    assert next(iter(asked))[:40] in str(refused.value)
    assert len(str(refused.value)) < 250


def test_empty_values_restrict_nothing() -> None:
    empty = {"namespace": "", "user": None, "outcome": "", "slower_than_ms": None, "mine": False}
    assert LiveFilter.parse(empty) == LiveFilter()
    assert LiveFilter().as_message() == {}
