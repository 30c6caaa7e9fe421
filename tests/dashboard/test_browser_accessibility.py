"""Every page for people who do not see it, or use no mouse: axe-core, the keyboard, and life without JavaScript."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.dashboard import axe
from tests.dashboard.browsing import MISHAPS, NARROW, PAGES, PUBLIC_PAGES, WIDE, Visitor
from tests.gateway import wait_for

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]


@pytest.mark.parametrize(("theme", "size"), [("light", WIDE), ("dark", WIDE), ("light", NARROW)])
def test_axe_finds_nothing_serious_on_any_page(visit: Visit, theme: str, size: dict[str, int]) -> None:
    found: dict[str, list[str]] = {}
    public = visit(viewport=size, color_scheme=theme)
    for name, path in PUBLIC_PAGES.items():
        found[name] = axe.findings(public.open(path))
    visitor = visit(viewport=size, color_scheme=theme).sign_in()
    for name, path in PAGES.items():
        found[name] = axe.findings(visitor.open(path))
    for name, (path, status) in MISHAPS.items():
        found[name] = axe.findings(visitor.open(path, status))
    page = visitor.open("/dashboard/requests/?period=7d")
    page.locator("a.row-link").first.click()
    page.wait_for_load_state("load")
    found["request"] = axe.findings(page)
    assert {name: grave for name, grave in found.items() if grave} == {}


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/?period=24h")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    seen: list[str] = []
    for _ in range(140):
        page.keyboard.press("Tab")
        described = page.evaluate(
            """() => {
              const node = document.activeElement;
              const style = getComputedStyle(node), after = getComputedStyle(node, "::after");
              const shown = style.outlineStyle !== "none" || after.outlineStyle !== "none";
              return [node.textContent.trim() || node.getAttribute("name") || node.tagName, shown, node.tagName];
            }"""
        )
        if described[2] == "BODY":
            break
        assert described[1], f"the focus on {described[0][:60]!r} cannot be seen"
        seen.append(described[0])
    assert "30m" in seen and "Custom" in seen
    assert seen.index("7d") < seen.index("The numbers as a table") < seen.index("All tools")


def test_escape_closes_a_menu_and_gives_the_focus_back(visit: Visit) -> None:
    page = visit().sign_in().open("/dashboard/")
    summary = page.locator(".range-menu summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".range-form")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.locator(".range-form")).to_be_hidden()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_without_javascript_only_the_drawings_are_missing(visit: Visit) -> None:
    visitor = visit(java_script_enabled=False).sign_in()
    page = visitor.open("/dashboard/?period=7d")
    page.locator(".chart-numbers summary").first.click()
    numbers = page.locator(".chart-numbers").first.locator("tbody tr")
    assert numbers.count() == 7 * 24 + 1
    page.locator(".range-menu summary").click()
    page.fill("input[name=from]", "2026-11-01T00:00")
    page.click(".range-form button")
    assert "from=2026-11-01T00%3A00" in page.url
    page = visitor.open("/dashboard/?period=7d")
    page.select_option("select[name=namespace]", "github")
    page.click(".namespace-form button")
    assert "namespace=github" in page.url and "period=7d" in page.url
    page.locator("#tools a.row-link").first.click()
    expect(page.locator("h1")).to_contain_text("Tool")
    visitor.shot("no-script-tool")


def test_a_phone_scrolls_tables_inside_their_own_frame(visit: Visit) -> None:
    page = visit(viewport=NARROW).sign_in().open("/dashboard/requests/?period=24h")
    frame = page.locator(".table-scroll").first
    assert frame.evaluate("node => node.scrollWidth > node.clientWidth")
    frame.focus()
    page.keyboard.press("ArrowRight")
    wait_for(lambda: frame.evaluate("node => node.scrollLeft > 0"), 10)
    assert page.evaluate("window.scrollX") == 0
