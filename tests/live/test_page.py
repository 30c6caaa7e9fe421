"""The page of the live view in a browser: rows appear, stop and are filtered, by mouse and by keyboard."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.gateway import Gateway
from tests.live.client import People
from tests.live.conftest import KEYS

pytestmark = pytest.mark.browser
SHOTS = Path(os.environ.get("LIVE_SHOTS", Path(__file__).resolve().parents[2] / "test-artifacts"))
LOOKS = [
    ("light", {"width": 1280, "height": 900}),
    ("dark", {"width": 1280, "height": 900}),
    ("light", {"width": 390, "height": 844}),
    ("dark", {"width": 390, "height": 844}),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """A signed-in person's browser, which notes what a strict page must never cause."""

    def __init__(self, browser: Browser, gateway: Gateway, session: str, **options: Any) -> None:
        self.context = browser.new_context(base_url=gateway.base, **options)
        self.context.add_cookies([{"name": "gateway_session", "value": session, "url": gateway.base}])
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, query: str = "") -> Page:
        """Open the page and wait until it is live."""
        self.page.goto(f"/dashboard/live/{query}")
        expect(self.page.get_by_role("status")).to_have_text("Live", timeout=15_000)
        self.page.wait_for_timeout(1300)  # the shipper looks once a second whether somebody watches
        return self.page

    def shot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SHOTS.mkdir(exist_ok=True, parents=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.fixture
def visit(browser: Browser, live: Gateway, people: People) -> Iterator[Callable[..., Visitor]]:
    """Return a function that opens a browser for a person."""
    made: list[Visitor] = []

    def make(name: str = "root", **options: Any) -> Visitor:
        made.append(Visitor(browser, live, people.sessions[name], **options))
        return made[-1]

    yield make
    for visitor in made:
        visitor.context.close()


def _some_calls(live: Gateway, call: Callable[..., str]) -> None:
    for user, namespace, tool in (("alice", "first", "echo"), ("bob", "second", "add"), ("carol", "first", "echo")):
        call(user, namespace, tool, a=1, b=2)
    live.call("first", KEYS["alice"], "tools/list")
    live.call("first", KEYS["alice"], "tools/call", {"name": "no-such-tool", "arguments": {}})
    live.call("nowhere", KEYS["bob"], "tools/list")
    httpx.post(live.url("first"), json={}, headers={"Authorization": "Bearer wrong"})


@pytest.mark.parametrize(("colours", "size"), LOOKS)
def test_calls_appear(
    visit: Callable[..., Visitor], live: Gateway, call: Callable[..., str], colours: str, size: dict[str, int]
) -> None:
    visitor = visit(color_scheme=colours, viewport=size)
    page = visitor.open()
    name = f"live-{colours}-{size['width']}"
    visitor.shot(f"{name}-empty")
    _some_calls(live, call)
    rows = page.locator("#live-rows tr")
    expect(rows).to_have_count(7, timeout=5000)
    expect(page.locator("#live-empty")).to_be_hidden()
    newest = rows.first
    expect(newest).to_contain_text("unauthenticated")
    expect(rows.filter(has_text="carol")).to_contain_text("echo")
    link = rows.filter(has_text="carol").get_by_role("link")
    expect(link).to_have_attribute(
        "href", re.compile(r"^/dashboard/requests/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/$")
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    visitor.shot(name)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("Paused")
    call("bob", "second")
    expect(page.locator("#live-note")).to_have_text("1 call passed during the pause")
    expect(rows).to_have_count(7)
    visitor.shot(f"{name}-paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_have_text("Live")
    expect(rows.first).to_have_text("1 call passed during the pause.")
    if size["width"] < 760:
        page.get_by_text("Filters", exact=True).click()
    page.get_by_role("combobox", name="User").fill("alice")
    expect(page).to_have_url(re.compile(r"\?user=alice$"))
    call("bob", "second")
    call("alice", "first")
    expect(rows).to_have_count(1, timeout=5000)
    expect(rows).to_contain_text("alice")
    visitor.shot(f"{name}-filtered")
    assert visitor.complaints == []


def test_the_address_holds_the_filters(visit: Callable[..., Visitor], call: Callable[..., str]) -> None:
    visitor = visit()
    page = visitor.open("?namespace=second&errors_only=1&slower_than_ms=0&outcome=nonsense&tool=%3Cb%3E")
    expect(page.get_by_role("combobox", name="Namespace")).to_have_value("second")
    expect(page.get_by_role("combobox", name="Tool")).to_have_value("<b>")
    expect(page.get_by_role("checkbox", name="Errors only")).to_be_checked()
    page.get_by_role("button", name="No filters").click()
    expect(page).to_have_url(re.compile(r"/dashboard/live/$"))
    page.get_by_role("combobox", name="Outcome").select_option("ok")
    expect(page).to_have_url(re.compile(r"\?outcome=ok$"))
    call()
    expect(page.locator("#live-rows tr")).to_have_count(1, timeout=5000)
    page.reload()
    expect(page.get_by_role("combobox", name="Outcome")).to_have_value("ok")
    assert visitor.complaints == []


def test_the_keyboard_is_enough(visit: Callable[..., Visitor], call: Callable[..., str]) -> None:
    visitor = visit()
    page = visitor.open()
    page.keyboard.press("p")
    expect(page.get_by_role("status")).to_have_text("Paused")
    page.get_by_role("combobox", name="User").press_sequentially("p")
    expect(page.get_by_role("status")).to_have_text("Paused")  # typed, not meant as the command
    page.get_by_role("combobox", name="User").fill("")
    page.get_by_role("button", name="Resume").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Live")
    call()
    rows = page.locator("#live-rows tr:not(.live-gap)")
    expect(rows).to_have_count(1, timeout=5000)
    rows.get_by_role("link").focus()
    call()
    expect(page.locator("#live-note")).to_contain_text("1 call held back while you use the list", timeout=5000)
    expect(rows).to_have_count(1)  # nothing moves under somebody's hands
    page.get_by_role("button", name="Clear").focus()
    expect(rows).to_have_count(2)
    assert visitor.complaints == []


def test_hostile_names_are_text(visit: Callable[..., Visitor], live: Gateway) -> None:
    visitor = visit()
    page = visitor.open()
    name = '<img src=x onerror="document.title=1">\u202egnp'
    live.call("first", KEYS["alice"], "tools/call", {"name": name, "arguments": {}})
    row = page.locator("#live-rows tr")
    expect(row).to_contain_text('<img src=x onerror="document.title=1">⟨U+202E⟩gnp', timeout=5000)
    assert page.locator("#live-rows img").count() == 0
    assert page.title().startswith("Live")
    assert visitor.complaints == []


def test_it_comes_back_by_itself(visit: Callable[..., Visitor], live: Gateway, call: Callable[..., str]) -> None:
    visitor = visit()
    page = visitor.open()
    for pid in live.worker_pids():
        os.kill(pid, signal.SIGTERM)  # one after the other is how workers are renewed; both is worse
    expect(page.get_by_role("status")).to_contain_text("trying again", timeout=10_000)
    expect(page.get_by_role("status")).to_have_text("Live", timeout=40_000)
    page.wait_for_timeout(1500)
    call()
    expect(page.locator("#live-rows tr")).to_have_count(1, timeout=5000)


def test_who_signs_out_is_told(visit: Callable[..., Visitor], live: Gateway, people: People) -> None:
    visitor = visit("nobody")
    page = visitor.open()
    live.query("DELETE FROM django_session WHERE session_key = %s", people.sessions["nobody"])
    expect(page.get_by_role("status")).to_contain_text("Signed out", timeout=20_000)
    page.get_by_role("link", name="Sign in again").click()
    expect(page).to_have_url(re.compile(r"/login/\?next="))


def test_without_javascript_it_says_where_to_look(visit: Callable[..., Visitor]) -> None:
    page = visit(java_script_enabled=False).page
    page.goto("/dashboard/live/")
    notice = page.locator(".notice")
    expect(notice).to_contain_text("needs JavaScript")
    expect(notice.get_by_role("link")).to_have_attribute("href", "/dashboard/requests/")
    expect(page.locator("#live")).to_be_hidden()


def test_a_stranger_is_sent_to_sign_in(live: Gateway) -> None:
    answer = live.get("/dashboard/live/")
    assert answer.status_code == 302 and "/login/?next=/dashboard/live/" in answer.headers["location"]
