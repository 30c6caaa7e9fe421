"""Walking the log by cursor: no row twice and none missing while others arrive; and the filters of B.8."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db

PATH = "/api/v1/requests"


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def walk(client: Client, **parameters: Any) -> list[str]:
    """Return the ids of all pages, while a newer row arrives between each two."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(PATH, parameters | cursor).json()
        found += [call["id"] for call in page["requests"]]
        if page["nextCursor"] is None:
            return found
        assert len(page["requests"]) == int(parameters["limit"])
        cursor = {"cursor": page["nextCursor"]}
        log_row()


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_a_walk_meets_every_row_once_though_others_arrive(staff: Client, limit: int, settings: Any) -> None:
    moment = ago(hours=2)
    rows = [log_row(moment) for _ in range(15)]  # of the very same microsecond
    rows += [log_row(ago(hours=3, minutes=7 * number)) for number in range(30)]
    rows += [log_row(ago(days=4, minutes=number)) for number in range(6)]
    found = walk(staff, limit=limit)
    assert sorted(found) == sorted(str(_uuid(row)) for row in rows)
    times = {str(_uuid(row)): row.at for row in rows}
    assert [times[identifier] for identifier in found] == sorted(times.values(), reverse=True)


def _uuid(row: Any) -> Any:
    row.refresh_from_db()
    return row.id


def test_a_last_page_that_is_just_full_has_no_next(staff: Client) -> None:
    for _ in range(4):
        log_row()
    assert staff.get(PATH, {"limit": 4}).json()["nextCursor"] is None


def test_a_cursor_that_was_changed_is_400(staff: Client) -> None:
    for _ in range(3):
        log_row()
    cursor = staff.get(PATH, {"limit": 1}).json()["nextCursor"]
    for place in range(len(cursor)):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        answer = staff.get(PATH, {"cursor": changed})
        assert answer.status_code == 400 and answer.json()["error"]["field"] == "cursor"
    for changed in (cursor[:-1], cursor + "A", cursor.split(":")[0], cursor * 2):
        assert staff.get(PATH, {"cursor": changed}).status_code == 400
    assert staff.get(PATH, {"cursor": cursor}).status_code == 200


def test_a_cursor_opens_nothing_to_somebody_else(staff: Client, as_user: Any) -> None:
    for _ in range(3):
        log_row()
    cursor = staff.get(PATH, {"limit": 1}).json()["nextCursor"]
    assert as_user("bob").get(PATH, {"cursor": cursor}).json()["requests"] == []


def test_fifty_rows_of_the_last_week_when_nothing_is_said(staff: Client) -> None:
    for number in range(60):
        log_row(ago(minutes=number))
    log_row(ago(days=8), tool="old")
    assert len(staff.get(PATH).json()["requests"]) == 50
    assert len(walk(staff, limit=50)) == 60
    assert len(staff.get(PATH, {"period": "30d", "tool": "old"}).json()["requests"]) == 1


@pytest.mark.parametrize(
    ("parameters", "tools"),
    [
        ({"server": "far"}, "far"),
        ({"upstream": "far"}, "far"),
        ({"tool": "slow"}, "slow"),
        ({"client": "bob"}, "bob"),
        ({"user": "bob"}, "bob"),
        ({"namespace": "other"}, "other"),
        ({"key": "7"}, "keyed"),
        ({"success": "false"}, "slow"),
        ({"outcome": "timeout"}, "slow"),
        ({"reason": "first_byte_timeout"}, "slow"),
        ({"kind": "resource"}, "file:///a"),
        ({"kind": "prompt"}, "greet"),
        ({"method": "prompts/get"}, "greet"),
        ({"slower_than_ms": "500"}, "far"),
        ({"request_id": "r-1"}, "traced"),
        ({"since": "SINCE"}, "new"),
        ({"until": "UNTIL"}, "old"),
        ({"via": "rest"}, ""),
        ({"success": "true", "outcome": "ok", "via": "mcp", "kind": "tool", "user": "bob"}, "bob"),
    ],
)
@pytest.mark.parametrize("format", ["json", "csv"])
def test_each_filter_finds_its_rows(staff: Client, parameters: dict[str, str], tools: str, format: str) -> None:
    noon = ago(hours=5)
    log_row(noon, tool="far", upstream="far", total_us=600_000)
    log_row(noon, tool="slow", outcome="timeout", reason="first_byte_timeout")
    log_row(noon, tool="bob", user_id="bob")
    log_row(noon, tool="other", namespace="other")
    log_row(noon, tool="keyed", key_id=7)
    log_row(noon, tool="file:///a", method="resources/read")
    log_row(noon, tool="greet", method="prompts/get")
    log_row(noon, tool="traced", request_id="r-1")
    log_row(ago(minutes=5), tool="new")
    log_row(ago(days=2), tool="old")
    moments = {"SINCE": f"{ago(hours=1):%Y-%m-%dT%H:%M:%SZ}", "UNTIL": f"{int(ago(days=1).timestamp() * 1000)}"}
    asked = {name: moments.get(value, value) for name, value in parameters.items()}
    answer = staff.get(PATH, asked | {"format": format})
    assert answer.status_code == 200
    if format == "json":
        assert [call["toolName"] for call in answer.json()["requests"]] == tools.split()
    else:
        lines = b"".join(answer).decode().splitlines()
        assert [line.split(",")[3] for line in lines[1:]] == tools.split()
