"""The four questions that the dashboards are for, each answered by one page; the pictures of the README come from here.

`make screenshots` runs this with SCREENSHOTS=docs/images; otherwise the pictures land in test-artifacts/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard import story
from tests.dashboard.browsing import SHOTS, Visitor

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
PICTURES = Path(os.environ.get("SCREENSHOTS", SHOTS))
SIZE = {"width": 1280, "height": 860}


def keep(page: Page, name: str) -> None:
    """Keep what a person sees without scrolling."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    expect(page.locator(".uplot")).to_have_count(page.locator(".chart").count())
    page.screenshot(path=PICTURES / f"{name}.png")


def test_which_tool_is_slow_and_since_when(visit: Visit) -> None:
    page = visit(viewport=SIZE).sign_in().open("/dashboard/?period=7d")
    page.locator("#slowest a.row-link").first.click()
    namespace, tool = story.SLOW_TOOL
    page.wait_for_url(f"**/tools/{namespace}/{tool}/**")
    told = page.locator(".findings").inner_text().replace("\u00a0", " ")
    assert re.search(r"p95 .+, [2-4]\.\d × that of the 7 days before", told), told
    since = re.search(r"Slower since about (\d+ \w+ \d+:\d+) UTC", told)
    assert since, told
    moment = datetime.strptime(f"{since[1]} {datetime.now(UTC).year}", "%d %b %H:%M %Y").replace(tzinfo=UTC)
    # At night the tool is hardly called, so the first slow call may come hours after the change.
    assert abs(moment - (datetime.now(UTC) - story.SLOW_FOR)) < timedelta(hours=12)
    keep(page, "slow-tool")


def test_who_caused_yesterdays_errors(visit: Visit) -> None:
    page = visit(viewport=SIZE).sign_in().open("/dashboard/users/?order=errors")
    page.locator(".range-menu summary").click()
    page.get_by_role("link", name="Yesterday").click()
    page.wait_for_url("**from=**")
    expect(page.locator("#users tbody tr").first.locator("th")).to_have_text(story.TROUBLED_USER)
    expect(page.locator("#outcomes tbody tr").nth(1).locator("td").first).to_have_text("rate_limited")
    keep(page, "yesterdays-errors")
    page.locator("#users tbody tr").first.locator("td").nth(1).locator("a").click()
    page.wait_for_url("**/requests/**errors_only=true**")
    expect(page.locator("table.rows tbody tr")).to_have_count(50)
    expect(page.locator("table.rows tbody tr").nth(30)).to_contain_text(story.TROUBLED_NAMESPACE)


def test_what_one_users_agent_did_in_the_last_hour(visit: Visit) -> None:
    tall = {"width": 1280, "height": 1760}  # down to the latest requests
    page = visit(viewport=tall).sign_in().open(f"/dashboard/users/{story.WATCHED_USER}/?period=1h")
    assert page.locator("#tools tbody tr").count() >= 5
    assert page.locator("#latest tbody tr").count() == 12
    keep(page, "one-user")


def test_how_this_week_compares_with_the_last(visit: Visit) -> None:
    page = visit(viewport=SIZE).sign_in().open("/dashboard/?period=7d")
    change = page.locator(".figure-change").first.inner_text().replace("\u00a0", " ")
    assert re.fullmatch(r"(1\d|2\d|3\d) % more", change), change
    expect(page.locator(".toolbar-caption")).to_contain_text("compared with the 7 days before")
    keep(page, "this-week")
