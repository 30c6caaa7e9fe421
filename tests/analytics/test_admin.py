"""The request log in the admin: what it shows, what its filters ask Postgres, and that nothing can be changed."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics import admin_filters
from analytics.models import JournalReject, RequestLog
from keys.models import ApiKey
from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db
LIST = "/admin/analytics/requestlog/"


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


def tools(client: Client, query: str = "") -> list[str]:
    """Return the tools of the rows that the list shows, in its order."""
    answer = client.get(LIST + query)
    assert answer.status_code == 200, answer.headers
    return re.findall(r'class="field-tool">([^<]*)<', answer.content.decode())


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def test_the_list_shows_the_last_day_newest_first(operator: Client) -> None:
    log_row(ago(hours=2), tool="older")
    log_row(ago(minutes=1), tool="newer")
    log_row(ago(days=2), tool="yesterday")
    assert tools(operator) == ["newer", "older"]
    assert tools(operator, "?period=1h") == ["newer"]
    assert tools(operator, "?period=7d") == ["newer", "older", "yesterday"]
    assert tools(operator, "?period=all") == ["newer", "older", "yesterday"]
    assert tools(operator, "?period=nonsense") == ["newer", "older"]


def test_a_range_wins_over_the_period_and_includes_its_last_day(operator: Client) -> None:
    for day, hour in ((1, 0), (2, 12), (3, 23), (4, 1)):
        log_row(datetime(2026, 3, day, hour, tzinfo=UTC), tool=f"day{day}")
    assert tools(operator, "?since=2026-03-02&until=2026-03-03&period=1h") == ["day3", "day2"]
    assert tools(operator, "?since=2026-03-02+13:00") == ["day4", "day3"]
    assert tools(operator, "?until=2026-03-02T12:00:01%2B00:00") == ["day2", "day1"]


def test_a_date_that_is_none_is_named_and_changes_nothing(operator: Client) -> None:
    log_row(tool="now")
    for text in ("yesterday", "2026-13-01", "9999-12-31", "<script>"):
        answer = operator.get(LIST, {"until": text})
        assert answer.status_code == 200
        assert "is no date" in answer.content.decode()
        assert "<script>”" not in answer.content.decode()
    assert tools(operator, "?since=yesterday") == ["now"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?namespace=other", ["b"]),
        ("?user_id=bob", ["c"]),
        ("?tool=d", ["d"]),
        ("?reason=tool_denied", ["e"]),
        ("?outcome=denied", ["e"]),
        ("?outcome=failed", ["f", "e"]),
        ("?outcome=ok", ["d", "c", "b", "a"]),
        ("?outcome=nonsense", ["f", "e", "d", "c", "b", "a"]),
        ("?namespace=other&user_id=bob", []),
        ("?tool=%00d", ["d"]),
        ("?tool=nothing%27--", []),
    ],
)
def test_filters_select_what_they_say(operator: Client, query: str, expected: list[str]) -> None:
    rows = [
        {"tool": "a"},
        {"tool": "b", "namespace": "other"},
        {"tool": "c", "user_id": "bob"},
        {"tool": "d"},
        {"tool": "e", "outcome": "denied", "reason": "tool_denied"},
        {"tool": "f", "outcome": "timeout", "upstream": "far"},
    ]
    for number, values in enumerate(rows):
        log_row(ago(minutes=len(rows) - number), **values)
    assert tools(operator, query) == expected


def test_a_filters_form_keeps_the_other_filters(operator: Client) -> None:
    text = operator.get(LIST + "?namespace=demo&outcome=failed&q=abc").content.decode()
    form = text[text.index("By user") : text.index("By tool")]
    for name, value in (("namespace", "demo"), ("outcome", "failed"), ("q", "abc")):
        assert form.count(f'<input type="hidden" name="{name}" value="{value}">') == 1


def test_a_search_finds_a_call_of_any_age_by_either_id(operator: Client) -> None:
    old = log_row(ago(days=40), tool="old", request_id="client-chose-this")
    log_row(tool="new")
    assert tools(operator, "?q=client-chose-this") == ["old"]
    assert tools(operator, f"?q={uuid.UUID(old.id)}") == ["old"]
    assert tools(operator, f"?q={old.id}") == ["old"]
    assert tools(operator, "?q=client-chose-this&period=1h") == []
    assert tools(operator, "?q=%00") == ["new", "old"]


def test_one_row_is_shown_in_groups_and_cannot_be_changed(operator: Client) -> None:
    key = ApiKey.objects.create(user_id="alice")
    row = log_row(key_id=key.pk, total_us=1_234_567, client_name="<b>client</b>", jsonrpc_code=-32603)
    page = operator.get(f"{LIST}{row.pk}/change/")
    text = page.content.decode()
    assert page.status_code == 200
    for heading in ("Call", "Result", "Caller", "Time and size", "Identifiers"):
        assert heading in text
    assert "1.23 s" in text and "-32603" in text and f"/admin/keys/apikey/{key.pk}/change/" in text
    assert "<b>client" not in text and "&lt;b&gt;client" in text
    assert 'name="_save"' not in text and "deletelink" not in text
    key.delete()
    assert "deleted since" in operator.get(f"{LIST}{row.pk}/change/").content.decode()


def test_nobody_adds_changes_or_deletes(operator: Client) -> None:
    row = log_row()
    reject = JournalReject.objects.create(journal=uuid.uuid4(), position=0, line=b"x", error="y")
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}{row.pk}/change/", {"tool": "other"}).status_code == 403
    assert operator.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert operator.post(f"/admin/analytics/journalreject/{reject.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(LIST, {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"})
    assert RequestLog.objects.get().tool == "echo" and JournalReject.objects.count() == 1


def test_staff_needs_the_right_to_look() -> None:
    client, user = Client(), User.objects.create_user("helper", is_staff=True)
    client.force_login(user)
    assert client.get(LIST).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_requestlog"))
    assert client.get(LIST).status_code == 200


def test_many_rows_are_counted_only_so_far_and_it_says_so(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_filters, "COUNTED", 3)
    monkeypatch.setattr("analytics.admin.COUNTED", 3)
    for _ in range(5):
        log_row()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = operator.get(LIST)
    assert "The newest 3 of more requests" in page.content.decode()
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "requestlog" in query["sql"]]
    assert counts and all("LIMIT 3" in sql for sql in counts)


def test_rejected_lines_are_listed_without_the_secrets_in_them(operator: Client) -> None:
    line = b"junk\tmcpgw_" + b"a1B2" * 12 + b"\xff\n"
    reject = JournalReject.objects.create(journal=uuid.uuid4(), position=7, line=line, error="bad line\nCONTEXT: x")
    listed = operator.get("/admin/analytics/journalreject/").content.decode()
    assert "bad line" in listed and "CONTEXT" not in listed
    shown = operator.get(f"/admin/analytics/journalreject/{reject.pk}/change/").content.decode()
    assert "junk" in shown and "a1B2a1B2" not in shown


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("?period=all", "at"),
        ("?period=all&namespace=demo", "namespace"),
        ("?period=all&user_id=alice", "user"),
        ("?period=all&tool=echo", "tool"),
        ("?period=all&reason=tool_denied", "reason"),
        ("?period=all&outcome=timeout", "outcome"),
        ("?q=00000000-0000-0000-0000-000000000001", "request_id"),
    ],
)
def test_every_filter_has_an_index_to_use(operator: Client, query: str, index: str) -> None:
    log_row(ago(days=1))
    log_row()
    with CaptureQueriesContext(connection) as queries:
        operator.get(LIST + query)
    rows = [sql["sql"] for sql in queries if "requestlog" in sql["sql"] and "COUNT(" not in sql["sql"]]
    listing = next(sql for sql in rows if ("ORDER BY" in sql) == ("q=" not in query))
    with connection.cursor() as cursor:
        # On two rows a scan is cheaper; what counts is that there is an index that fits the condition.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off" if "q=" not in query else "SELECT 1")
        cursor.execute(f"EXPLAIN {listing}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    partition_indexes = {"at": r"_at_idx", "namespace": "_namespace_at_idx", "user": "_user_id_at_idx"}
    assert re.search(partition_indexes.get(index, f"_{index}_"), plan), plan
    assert "Seq Scan" not in plan
