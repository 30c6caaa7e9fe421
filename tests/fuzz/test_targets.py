"""Every fuzz target on its seeds and on what becomes of them when bytes change, within the time of a test."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.run import TARGETS

MODULES = {name: importlib.import_module(f"tests.fuzz.{name}") for name in TARGETS}
edits = st.lists(
    st.tuples(
        st.integers(0, 4096), st.integers(0, 8), st.binary(max_size=6) | st.sampled_from([b"\r\n", b'"', b"\\u"])
    ),
    max_size=4,
)


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_passes(target: str) -> None:
    for seed in MODULES[target].SEEDS:
        MODULES[target].check(seed)


def _edited(seed: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    raw = bytearray(seed)
    for position, removed, added in changes:
        start = position % (len(raw) + 1)
        raw[start : start + removed] = added
    return bytes(raw)


@pytest.mark.parametrize("module", MODULES.values(), ids=TARGETS)
def test_changed_seeds_and_junk_pass(module: ModuleType) -> None:
    @settings(max_examples=1500, deadline=None)
    @given(st.sampled_from(module.SEEDS), st.sampled_from(module.SEEDS), edits, st.binary(max_size=40))
    def check(seed: bytes, other: bytes, changes: list[tuple[int, int, bytes]], junk: bytes) -> None:
        module.check(_edited(seed, changes))
        half = _edited(seed, changes)[: len(seed) // 2]
        module.check(half + other[len(other) // 2 :])
        module.check(seed[:2] + junk)

    check()


def test_the_targets_find_what_is_wrong() -> None:
    """An oracle that never fails would hold nothing: each is shown a reader with the mistake that it is there for."""
    from tests.fuzz import event_streams, list_filters

    original = list_filters.filtering.apply
    try:
        list_filters.filtering.apply = lambda view, method, body, result, ttl: body
        with pytest.raises(AssertionError):
            list_filters.check(list_filters.SEEDS[0])
    finally:
        list_filters.filtering.apply = original
    encode = event_streams.Event.encode
    try:
        event_streams.Event.encode = lambda event: encode(event) + b"data: forged\n\n"  # type: ignore[method-assign]
        with pytest.raises(AssertionError):
            event_streams.check(event_streams.SEEDS[0])
    finally:
        event_streams.Event.encode = encode  # type: ignore[method-assign]
