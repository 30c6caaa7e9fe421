"""Every CSV button gives the rows of its table."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from tests.analytics.rows import log_row

pytestmark = pytest.mark.django_db

PAGES = [
    "/dashboard/?period=7d",
    "/dashboard/?from=2026-01-01T00:00&namespace=warehouse&mine=false",
    "/dashboard/namespaces/warehouse/",
    "/dashboard/namespaces/?order=p95",
    "/dashboard/users/?order=errors",
    "/dashboard/users/alice/?period=30m",
    "/dashboard/keys/101/",
    "/dashboard/tools/?order=bytes",
    "/dashboard/tools/warehouse/run_query/",
    "/dashboard/upstreams/?order=error_rate",
    "/dashboard/upstreams/server/",
    "/dashboard/requests/?errors_only=true&user=alice&tool=run_query&upstream=server&key=101",
    "/dashboard/requests/?outcome=tool_error&reason=odd",
    "/dashboard/requests/?method=tools/call&slower_than_ms=1",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_button_gives_the_tables_rows(boss: Client, page: str) -> None:
    at = datetime.now(UTC) - timedelta(minutes=3)
    for place in range(7):
        log_row(
            at - timedelta(seconds=place),
            namespace="warehouse",
            tool="run_query",
            upstream="server",
            key_id=101,
            outcome="ok" if place % 2 else "tool_error",
            reason=None if place % 2 else "odd",
        )
    body = boss.get(page).content.decode()
    sections = re.findall(r'<section class="panel table-panel.*?</section>', body, re.DOTALL)
    links = {
        html.unescape(url): section for section in sections for url in re.findall(r'href="([^"]*)" download', section)
    }
    assert links
    for url, section in links.items():
        answer = boss.get(url)
        assert answer.status_code == 200, f"{url}: {answer.content[:300]!r}"
        assert answer["Content-Type"].startswith("text/csv")
        text = b"".join(answer) if answer.streaming else answer.content
        lines = [
            line for line in csv.reader(io.StringIO(text.decode("utf-8-sig"))) if line and not line[0].startswith("#")
        ]
        shown = len(re.findall("<tr>", section)) - 1
        assert len(lines) - 1 >= shown > 0, url
