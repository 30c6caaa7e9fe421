"""What waits for a socket is bounded: the newest rows stay, the rest is counted."""

from __future__ import annotations

import json
import time
from typing import Any

from analytics.live_filters import Gate, LiveFilter
from analytics.live_rows import FIELDS, LiveRow
from analytics.live_viewer import MAX_WAITING, Viewer
from keys.visibility import Scope

EVERYTHING, OWN = Scope(sees_addresses=True), Scope(("first",), ("alice",))


def live_row(**values: Any) -> LiveRow:
    known = {"namespace": "first", "user_id": "alice", "outcome": "ok", "total_us": 1000, "client_address": "192.0.2.7"}
    return LiveRow([(known | values).get(name) for name in FIELDS])


def viewer(scope: Scope = EVERYTHING, trusted_s: float = 10.0, **asked: Any) -> Viewer:
    made = Viewer()
    made.change(Gate(scope, LiveFilter.parse(asked)), time.monotonic() + trusted_s, forget=False)
    return made


def taken(found: Viewer) -> dict[str, Any]:
    message = found.take()
    assert message is not None
    answer: dict[str, Any] = json.loads(message)
    return answer


def test_the_newest_rows_stay_and_the_others_are_counted() -> None:
    found = viewer()
    for number in range(MAX_WAITING + 34):
        found.offer(live_row(tool=f"t{number}"))
    message = taken(found)
    assert [row["tool"] for row in message["rows"]] == [f"t{number}" for number in range(34, MAX_WAITING + 34)]
    assert (message["skipped"], message["incomplete"]) == (34, False)
    assert found.take() is None


def test_rows_of_others_neither_wait_nor_count() -> None:
    found = viewer(OWN)
    for number in range(2 * MAX_WAITING):
        found.offer(live_row(user_id="bob", tool=f"t{number}"))
        found.offer(live_row(namespace="second"))
    assert found.take() is None and not found.changed.is_set()


def test_nothing_passes_before_the_rights_are_known_or_after_they_grew_old() -> None:
    unknown, old = Viewer(), viewer(trusted_s=-0.001)
    for found in (unknown, old):
        found.offer(live_row())
        assert found.take() is None


def test_the_address_goes_to_those_alone_who_may_see_it() -> None:
    for scope, address in ((EVERYTHING, "192.0.2.7"), (OWN, None), (Scope(), None)):
        found = viewer(scope)
        found.offer(live_row())
        assert taken(found)["rows"][0]["client_address"] == address


def test_a_pause_counts_what_passes_and_what_waited() -> None:
    found = viewer()
    found.offer(live_row())
    found.pause()
    for _ in range(5):
        found.offer(live_row())
    assert found.missed == 6 and found.take() is None


def test_how_much_was_left_out_is_told_to_those_who_see_everything() -> None:
    for scope, skipped in ((EVERYTHING, 1234), (OWN, 0)):
        found = viewer(scope)
        found.skip(1234)
        assert taken(found) == {"type": "rows", "rows": [], "skipped": skipped, "incomplete": True}


def test_another_filter_drops_what_waited_for_the_old_one() -> None:
    found = viewer()
    found.offer(live_row())
    found.change(Gate(EVERYTHING, LiveFilter.parse({"user": "bob"})), time.monotonic() + 10, forget=True)
    assert found.take() is None
