"""Charts and pickers as a person uses them: one crosshair, zoom by dragging, colours that follow the theme."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browsing import NARROW, Visitor
from tests.gateway import wait_for

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]


def plot(page: Page, place: int) -> dict[str, float]:
    box = page.locator(".chart .u-over").nth(place).bounding_box()
    assert box is not None
    return dict(box)


def test_one_crosshair_goes_over_all_charts(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/?period=7d")
    over = plot(page, 0)
    page.mouse.move(over["x"] + over["width"] / 2, over["y"] + 40)
    legends = page.locator(".u-legend")
    told = [legends.nth(place).locator("tr").first.locator("td").inner_text() for place in range(2)]
    assert told[0] == told[1] != "–"


def test_dragging_over_a_chart_sets_the_period(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/?period=7d&namespace=github")
    over = plot(page, 0)
    page.mouse.move(over["x"] + over["width"] * 0.4, over["y"] + 40)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 0.6, over["y"] + 40, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=**")
    query = parse_qs(urlsplit(page.url).query)
    assert set(query) == {"from", "to", "namespace"}
    assert query["from"] < query["to"]
    expect(page.locator("h1")).to_have_text("Overview")


def test_charts_take_the_colours_of_the_theme_and_keep_their_height(visit: Visit) -> None:
    visitor = visit(color_scheme="light").sign_in()
    page = visitor.open("/dashboard/?period=7d")
    before = page.locator(".chart").first.bounding_box()
    light = page.locator(".u-marker").nth(2).evaluate("node => getComputedStyle(node).borderTopColor")
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = page.locator(".u-marker").nth(2).evaluate("node => getComputedStyle(node).borderTopColor")
    assert light != dark
    assert page.locator(".chart").first.bounding_box() == before
    assert visitor.open("/dashboard/users/").evaluate("document.documentElement.dataset.theme") == "dark"


def test_charts_fit_when_the_window_changes(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/?period=7d")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    wait_for(lambda: page.evaluate("document.querySelector('.uplot').offsetWidth < 360"), 10)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_nothing_moves_when_the_charts_appear(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/?period=7d")
    shift = page.evaluate(
        """() => new Promise((resolve) => {
          let sum = 0;
          new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; })
            .observe({ type: "layout-shift", buffered: true });
          setTimeout(() => resolve(sum), 300);
        })"""
    )
    assert shift < 0.01


def test_choosing_a_namespace_shows_it_at_once_and_stays(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/?period=7d")
    page.select_option("select[name=namespace]", "docs")
    page.wait_for_url("**namespace=docs**")
    page.get_by_role("link", name="Tools", exact=True).click()
    assert "namespace=docs" in page.url and "period=7d" in page.url


def test_a_row_is_a_link_wherever_it_is_clicked(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/requests/?period=24h")
    page.locator("table.rows tbody tr").nth(2).locator("td").nth(3).click()
    page.wait_for_url("**/dashboard/requests/*-*/**")
    expect(page.locator("#stages-title")).to_be_visible()


def test_a_time_tells_the_viewers_own_zone_on_hover(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/requests/?period=24h")
    time = page.locator("table.rows time").first
    time.hover()
    title = time.get_attribute("title") or ""
    assert "GMT+1" in title or "CET" in title or "GMT+2" in title, title
