"""What pages show of a small log, and how they answer what they cannot use."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests.analytics.rows import log_row
from tests.dashboard.browsing import PAGES

pytestmark = pytest.mark.django_db


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def text_of(answer: Any) -> str:
    """Return the words of a page as a person reads them."""
    body = re.sub(r"(?s)<script.*?</script>", "", answer.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " ")


@pytest.mark.parametrize("path", [path for path in PAGES.values() if path.startswith("/dashboard/")])
def test_a_stranger_is_sent_to_sign_in(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 302 and answer["Location"].startswith("/accounts/login/?next=/dashboard/")


def test_only_reading_is_offered(boss: Client) -> None:
    assert boss.post("/dashboard/").status_code == 405


def test_the_overview_adds_up_and_compares_with_the_period_before(boss: Client) -> None:
    for _ in range(6):
        log_row(ago(hours=2), total_us=8_400)
    log_row(ago(hours=2), outcome="timeout", reason="first_byte_timeout", total_us=60_000_000, http_status=504)
    for _ in range(2):
        log_row(ago(hours=26), user_id="bob")
    words = text_of(boss.get("/dashboard/"))
    assert "Requests 7 " in words and "3.5 × as many" in words
    assert "Errors 1 14 % of the requests" in words
    assert "Active users 1 " in words
    assert "timeout first_byte_timeout 1 14 %" in words
    assert "7 requests, 1 of them errors (14 %)" in words


def test_a_new_gateway_says_how_the_first_request_is_made(boss: Client) -> None:
    words = text_of(boss.get("/dashboard/"))
    assert "No requests yet" in words and "curl -s http://testserver/mcp/" in words and "My keys" in words


def test_an_empty_period_offers_a_longer_one(boss: Client) -> None:
    log_row(ago(days=3))
    answer = boss.get("/dashboard/?namespace=demo")
    assert "No requests in this period" in text_of(answer)
    assert b'href="/dashboard/?period=7d&amp;namespace=demo"' in answer.content


def test_links_keep_what_was_chosen(boss: Client) -> None:
    log_row(ago(days=2))
    body = boss.get("/dashboard/?period=7d&namespace=demo&mine=false").content.decode()
    for link in ("/dashboard/users/?", "/dashboard/tools/?", "/dashboard/users/alice/?", "/dashboard/requests/?"):
        found = re.findall(re.escape(link) + r'[^"]*', body)
        assert found and all("namespace=demo" in url and ("period=7d" in url or "from=" in url) for url in found), link
    assert 'href="/dashboard/tools/demo/echo/?period=7d"' in body


def test_a_tool_page_says_since_when_it_is_slow(boss: Client) -> None:
    for hour in range(13 * 24):
        log_row(ago(hours=hour + 1), total_us=80_000 if hour > 60 else 250_000)
    words = text_of(boss.get("/dashboard/tools/demo/echo/?period=7d"))
    assert "3.1 × that of the 7 days before" in words
    since = re.search(r"Slower since about (\d+ \w+ [\d:]+) UTC", words)
    assert since, words[:3000]
    found = datetime.strptime(f"{since[1]} {datetime.now(UTC).year}", "%d %b %H:%M %Y").replace(tzinfo=UTC)
    assert abs(found - ago(hours=61)) <= timedelta(hours=3)


def test_the_users_page_names_who_caused_yesterdays_errors(boss: Client) -> None:
    for _ in range(5):
        log_row(ago(hours=30), user_id="mallory", outcome="denied", reason="tool_denied", namespace="git")
    log_row(ago(hours=30), user_id="alice")
    words = text_of(boss.get("/dashboard/users/?period=7d"))
    assert "Who caused the errors" in words and "mallory 5 100 % 5" in words


@pytest.mark.parametrize("order", ["calls", "errors", "error_rate", "avg", "p95", "bytes"])
@pytest.mark.parametrize("page", ["namespaces", "users", "tools", "upstreams"])
def test_lists_can_be_sorted(boss: Client, page: str, order: str) -> None:
    for _ in range(6):
        log_row(ago(hours=1), outcome="tool_error")
    answer = boss.get(f"/dashboard/{page}/?order={order}")
    assert answer.status_code == 200
    if order != "avg":  # the one order that has no column
        assert answer.content.count(b'aria-sort="descending"') == 1


def test_a_request_shows_its_stages(boss: Client) -> None:
    row = log_row(
        ago(minutes=5),
        total_us=10_000,
        upstream_us=9_500,
        first_byte_us=9_000,
        request_id="abc-1",
        client_name="cursor",
    )
    connection.cursor().execute("UPDATE analytics_requestlog SET auth_us = 80, limit_us = 200")
    log_row(ago(minutes=5.3), tool="other")
    words = text_of(boss.get(f"/dashboard/requests/{_dashed(row.id)}/"))
    assert "Authentication 0 µs 80 µs" in words
    assert "Rules and limits 80 µs 0.12 ms" in words
    assert "Handing over 0.2 ms 0.3 ms" in words
    assert "Waiting for the upstream 0.5 ms 9 ms" in words
    assert "Answer 9.5 ms 0.5 ms" in words
    assert "abc-1" in words and "cursor" in words and "other" in words


def test_a_request_of_an_older_version_shows_what_there_is(boss: Client) -> None:
    row = log_row(ago(minutes=5), total_us=10_000, upstream_us=9_500, first_byte_us=None)
    words = text_of(boss.get(f"/dashboard/requests/{_dashed(row.id)}/"))
    assert "In the gateway 0 µs 0.5 ms" in words and "Waiting for the upstream 0.5 ms 9.5 ms" in words
    assert "Authentication" not in words


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/dashboard/?period=nonsense", "period"),
        ("/dashboard/?period=0d", "period"),
        ("/dashboard/?period=9999999d", "period"),
        ("/dashboard/?period=1101d", "period"),
        ("/dashboard/?from=yesterday", "from"),
        ("/dashboard/?from=2026-11-20T10:00&to=2026-11-20T10:00", "from"),
        ("/dashboard/?from=0001-01-01T00:00", "from"),
        ("/dashboard/?to=9999-12-31T23:59:59%2B14:00", "to"),
        ("/dashboard/?to=0001-01-01T00:00:00%2B14:00", "to"),
        ("/dashboard/?from=2001-01-01T00:00", "from"),
        ("/dashboard/?mine=perhaps", "mine"),
        ("/dashboard/?namespace=%00", "namespace"),
        ("/dashboard/users/?order=password", "order"),
        ("/dashboard/requests/?outcome=great", "outcome"),
        ("/dashboard/requests/?key=abc", "key"),
        ("/dashboard/requests/?key=99999999999999999999", "key"),
        ("/dashboard/requests/?slower_than_ms=-1", "slower_than_ms"),
        ("/dashboard/requests/?slower_than_ms=%F0%9D%9F%99", "slower_than_ms"),
        ("/dashboard/requests/?errors_only=2", "errors_only"),
        ("/dashboard/requests/?cursor=tampered", "cursor"),
        ("/dashboard/requests/?user=%00", "user"),
        (f"/dashboard/requests/?tool={'x' * 3000}", "tool"),
    ],
)
def test_a_wrong_parameter_is_named_and_a_way_on_is_offered(boss: Client, path: str, name: str) -> None:
    answer = boss.get(path)
    assert answer.status_code == 400
    words = text_of(answer)
    assert f"The parameter {name} is wrong" in words
    way = re.search(r'class="button primary" href="([^"]+)"', answer.content.decode())
    assert way and boss.get(way[1].replace("&amp;", "&")).status_code == 200


def test_the_list_is_walked_page_by_page_without_gap_or_repetition(boss: Client) -> None:
    ids = [str(log_row(ago(minutes=minute % 37 + 1)).id) for minute in range(120)]
    url, seen = "/dashboard/requests/?user=alice", []
    while url:
        body = boss.get(url).content.decode()
        seen += re.findall(r'href="/dashboard/requests/([0-9a-f-]{36})/', body)
        older = re.search(r'href="([^"]+)" rel="next"', body)
        url = older[1].replace("&amp;", "&") if older else ""
        log_row(ago(seconds=0))
    assert sorted(seen) == sorted(_dashed(one) for one in ids)


def _dashed(one: str) -> str:
    return str(uuid.UUID(one))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("user=bob", {"two"}),
        ("tool=three", {"three"}),
        ("upstream=other", {"three"}),
        ("errors_only=true", {"two", "three"}),
        ("outcome=denied", {"two"}),
        ("reason=tool_denied", {"two"}),
        ("slower_than_ms=500", {"three"}),
        ("key=7", {"one"}),
        ("method=tools/call&namespace=demo", {"one", "two"}),
        ("request_id=rid-3", {"three"}),
    ],
)
def test_every_filter_filters(boss: Client, query: str, found: set[str]) -> None:
    log_row(ago(minutes=3), tool="one", key_id=7)
    log_row(ago(minutes=3), tool="two", user_id="bob", outcome="denied", reason="tool_denied")
    log_row(
        ago(minutes=3),
        tool="three",
        upstream="other",
        namespace="else",
        outcome="timeout",
        total_us=900_000,
        request_id="rid-3",
    )
    body = boss.get(f"/dashboard/requests/?{query}").content.decode()
    table = body[body.index("<tbody>") :]
    assert {name for name in ("one", "two", "three") if f"<bdi>{name}</bdi>" in table} == found


def test_a_statement_that_takes_too_long_becomes_a_calm_page(boss: Client, settings: Any) -> None:
    log_row(ago(hours=1))
    settings.ANALYTICS_TIMEOUT_MS = 1
    with connection.cursor() as cursor:  # a statement of the page meets this sleeping view of the table
        cursor.execute("ALTER TABLE analytics_rollupstate RENAME TO state_aside")
        cursor.execute(
            "CREATE VIEW analytics_rollupstate AS SELECT s.* FROM state_aside AS s, pg_sleep(1)"
            " UNION ALL SELECT s.* FROM state_aside AS s, pg_sleep(1) WHERE false"
        )
    answer = boss.get("/dashboard/?period=90d&namespace=demo")
    assert answer.status_code == 503 and answer["Retry-After"] == "5"
    assert "Choose a shorter one" in text_of(answer)
    assert b'href="/dashboard/?period=1h&amp;namespace=demo"' in answer.content


def test_no_page_is_kept_by_a_cache(boss: Client) -> None:
    assert boss.get("/dashboard/")["Cache-Control"] == "private, no-store"


PATHS = [*[path for path in PAGES.values() if path.startswith("/dashboard/")], "/dashboard/?period=nonsense"]


@pytest.mark.parametrize("path", PATHS)
def test_no_page_has_inline_style_or_script(boss: Client, path: str) -> None:
    for minute in range(3):
        log_row(ago(minutes=minute), namespace="warehouse", tool="run_query", upstream="github-mcp", key_id=101)
        log_row(ago(minutes=minute), outcome="tool_error", namespace="warehouse", upstream="github-mcp")
    answer = boss.get(path)
    body = answer.content.decode()
    assert answer.status_code in (200, 400)
    assert not re.search(r"<[^>]+\sstyle\s*=", body) and "<style" not in body
    assert not re.search(r"<[^>]+\son[a-z]+\s*=", body)
    for script in re.findall(r"<script[^>]*>", body):
        assert " src=" in script or 'type="application/json"' in script
    assert not re.search(r'(?:src|href)="(?:https?:)?//(?!testserver)', body)
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy and "default-src 'self'" in policy


@pytest.mark.parametrize("path", [path for path in PATHS if "live" not in path])
def test_a_page_costs_at_most_thirty_statements(
    boss: Client, path: str, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for hour in range(30):
        log_row(ago(hours=hour), namespace="warehouse", tool="run_query", upstream="github-mcp", key_id=101)
        log_row(ago(hours=hour), outcome="tool_error", upstream="github-mcp")
    with django_assert_max_num_queries(30):
        boss.get(path)


def test_the_navigation_offers_the_admin_to_staff_alone(boss: Client, sign_in: Callable[[User], Client]) -> None:
    assert 'href="/admin/"' in boss.get("/dashboard/").content.decode()
    member = sign_in(User.objects.create_user("someone"))
    body = member.get("/dashboard/").content.decode()
    assert 'href="/admin/"' not in body and 'aria-current="page">Overview' in body
    assert django_settings.LOGIN_URL == "/accounts/login/"
