"""/docs and /redoc in Chromium: drawn, silent, within their policy, with no request to anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.gateway import Gateway

pytestmark = pytest.mark.browser

SHOTS = Path("test-artifacts") / "api-docs"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, url: str, width: int) -> tuple[Page, list[str]]:
    """Open a page and return it with what it complains of, which grows."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on("request", lambda request: None if _is_ours(request.url, url) else complaints.append(request.url))
    page.goto(url)
    return page, complaints


def _is_ours(address: str, url: str) -> bool:
    return address.startswith((url.rsplit("/", 1)[0] + "/", "data:", "blob:"))


@pytest.mark.parametrize("width", [1280, 390])
def test_swagger_is_drawn_and_a_call_can_be_tried(gateway: Gateway, browser: Browser, width: int) -> None:
    key = gateway.create_key("--user", "alice")
    page, complaints = opened(browser, f"{gateway.base}/docs", width)
    page.get_by_role("button", name="Authorize").first.click()
    field = page.locator("input[aria-label='auth-bearer-value']")
    field.fill(key)
    page.locator("form", has=field).get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").last.click()
    page.locator("#operations-Analytics-usage .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table .response-col_status", has_text="200")
    answer.first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"swagger-{width}.png")
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_redoc_is_drawn_and_its_search_finds(gateway: Gateway, browser: Browser, width: int) -> None:
    page, complaints = opened(browser, f"{gateway.base}/redoc", width)
    page.get_by_role("heading", name="Usage by user or tool").wait_for()
    if width > 1000:
        page.get_by_role("textbox").first.fill("percentiles")
        page.locator("[role=menuitem]", has_text="Latency over time").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"redoc-{width}.png")
    page.close()
