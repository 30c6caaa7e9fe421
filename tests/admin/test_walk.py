"""A person's way through the admin, in a browser: add a server, test it, publish it, issue a key, call with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.gateway import ADMIN_PASSWORD, Gateway, wait_for

pytestmark = pytest.mark.browser
SHOTS = Path(__file__).resolve().parents[2] / "test-artifacts"
CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running(gateway: Gateway) -> Gateway:
    """A gateway with an administrator."""
    gateway.manage("create_admin", GATEWAY_ADMIN_USERNAME="ada", GATEWAY_ADMIN_PASSWORD=ADMIN_PASSWORD)
    return gateway


class Visitor:
    """A browser page that notes what a strict page must never cause: console errors, failed requests."""

    def __init__(self, browser: Browser, base: str, **options: Any) -> None:
        self.context = browser.new_context(base_url=base, **options)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("response", lambda r: self.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def sign_in(self) -> None:
        """Sign in as the administrator."""
        self.page.goto("/admin/")
        self.page.get_by_label("Username").fill("ada")
        self.page.get_by_label("Password").fill(ADMIN_PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()

    def shot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, running: Gateway) -> Iterator[Visit]:
    """Return a function that opens a signed-in browser window; none may have complained at the end."""
    visitors: list[Visitor] = []

    def open_window(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, running.base, **options))
        visitors[-1].sign_in()
        return visitors[-1]

    yield open_window
    for visitor in visitors:
        visitor.context.close()
        assert not visitor.complaints


def add_upstream(page: Page, slug: str, url: str) -> None:
    page.goto("/admin/namespaces/upstream/add/")
    page.get_by_label("Name:").fill(slug)
    page.get_by_label("URL:").fill(url)
    page.get_by_role("button", name="Save and test connection").click()


def test_from_a_server_to_a_call(visit: Visit, running: Gateway, sdk_url: str) -> None:
    visitor = visit()
    page = visitor.page
    page.get_by_role("link", name="Add an upstream").click()
    page.get_by_label("Name:").fill("walk")
    page.get_by_label("URL:").fill(sdk_url)
    page.get_by_role("button", name="Save and test connection").click()
    panel = page.get_by_role("region", name="Connection")
    for text in ("up", "modern (2026-07-28)", "sdk-upstream 1.0.0", "tools found"):
        expect(panel).to_contain_text(text)
    expect(panel.locator("dd", has_text=re.compile(r"^[\d.]+ ms$"))).to_be_visible()
    visitor.shot("upstream")

    page.get_by_role("link", name="Mount it in a new namespace").click()
    page.get_by_label("Name:").fill("walk")
    page.get_by_label("echo", exact=False).first.check()
    expect(page.locator("#id_tools_mode")).to_have_value("listed")
    expect(page.locator(".found-count").first).to_contain_text("1 of")
    visitor.shot("namespace-add")
    page.get_by_role("button", name="Save and continue editing").click()
    region = page.get_by_role("region", name="Namespace")
    expect(region).to_contain_text(running.url("walk"))
    expect(region).to_contain_text(re.compile(r"1 of \d+"))
    region.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == running.url("walk")

    page.get_by_role("link", name="Issue a key for it").click()
    page.get_by_label("User:").fill("grace@example.org")
    page.get_by_role("button", name="Issue key").click()
    key = page.locator("#secret").inner_text()
    visitor.shot("key-issued")
    page.locator("button[data-copy=secret]").click()
    assert page.evaluate("navigator.clipboard.readText()") == key
    line = page.locator("#snippet-claude-code").inner_text()
    assert line == f'claude mcp add --transport http walk {running.url("walk")} --header "Authorization: Bearer {key}"'

    wait_for(lambda: running.call("walk", key, "tools/list").status_code == 200, 3, lambda: "the key is not in force")
    listed = running.call("walk", key, "tools/list").json()["result"]["tools"]
    assert [tool["name"] for tool in listed] == ["echo"]
    good = running.call("walk", key, "tools/call", {"name": "echo", "arguments": {"message": "hello"}}).json()
    assert "hello" in str(good["result"])
    denied = running.call("walk", key, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}).json()
    assert (denied["error"]["code"], denied["error"]["message"]) == (-32602, "Unknown tool: add")

    page.reload()
    assert page.url.endswith("/change/") and key not in page.content()
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke for good").click()
    expect(page.get_by_role("region", name="Key")).to_contain_text("revoked")
    wait_for(lambda: running.call("walk", key, "tools/list").status_code == 401, 2, lambda: "still let in")

    page.goto("/admin/audit/")
    expect(page.locator("table.audit")).to_contain_text("grace@example.org")
    assert key not in page.content()


def test_the_names_follow_the_chosen_server(visit: Visit, sdk_url: str) -> None:
    page = visit().page
    add_upstream(page, "names", sdk_url)
    page.goto("/admin/namespaces/namespace/add/")
    expect(page.locator(".found").first).to_contain_text("Choose what is published above")
    page.locator("#id_mount-0-upstream").select_option(label="names")
    expect(page.locator(".found-item", has_text="echo")).to_be_visible()
    page.get_by_label("Filter tools").fill("ech")
    expect(page.locator(".found-item:visible", has_text="add")).to_have_count(0)
    page.get_by_role("button", name="Tick all").first.click()
    expect(page.locator(".found-count").first).to_contain_text("1 of")
    page.get_by_label("Name:").fill("followed")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text("1 of")

    page.goto("/admin/keys/apikey/add/")
    page.get_by_label("User:").fill("linus")
    page.locator("#id_grants-0-namespace").select_option(label="followed")
    page.locator("#grants-0 summary", has_text="Tools").click()
    expect(page.locator("#grants-0 .found-item", has_text="echo").first).to_be_visible()
    page.get_by_role("button", name="Add another Namespace").click()
    expect(page.locator("#grants-1")).to_be_visible()
    page.locator("#grants-1 .inline-deletelink").click()
    page.locator("#grants-0 .found-item", has_text="echo").first.locator("input").check()
    expect(page.locator("#id_grants-0-tools_mode")).to_have_value("listed")
    page.get_by_role("button", name="Issue key").click()
    expect(page.locator("#secret")).to_contain_text("mcpgw_")


def test_a_broken_server_is_seen_on_the_start_page(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    add_upstream(page, "broken", "http://127.0.0.1:47/mcp")
    expect(page.get_by_role("region", name="Connection")).to_contain_text("Connection refused by 127.0.0.1:47")
    page.goto("/admin/")
    row = page.get_by_role("row", name=re.compile("broken"))
    expect(row).to_contain_text("down")
    row.get_by_role("button", name="Test connection of broken").click()
    expect(page.locator(".messagelist")).to_contain_text("Upstream broken is not usable")


PAGES = {
    "overview": "",
    "upstreams": "namespaces/upstream/",
    "upstream-add": "namespaces/upstream/add/",
    "namespaces": "namespaces/namespace/",
    "namespace-add": "namespaces/namespace/add/",
    "catalogue": "namespaces/catalogueentry/",
    "keys": "keys/apikey/",
    "key-add": "keys/apikey/add/",
    "audit": "audit/",
    "user-add": "auth/user/add/",
    "password": "password_change/",
    "request-log": "analytics/requestlog/",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "width"), [("wide", 1360), ("narrow", 390)])
def test_every_page_fits_its_window(visit: Visit, sdk_url: str, scheme: str, size: str, width: int) -> None:
    visitor = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    add_upstream(visitor.page, f"fit-{scheme}-{size}", sdk_url)
    for name, address in PAGES.items():
        visitor.page.goto(f"/admin/{address}")
        visitor.shot(f"{name}-{scheme}-{size}")
        too_wide = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0, f"{name} is {too_wide} px too wide"


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(visit: Visit, scheme: str) -> None:
    page = visit(color_scheme=scheme).page
    colours = page.evaluate(
        """() => {
          const probe = document.createElement("span");
          document.body.append(probe);
          const read = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
          const names = ["page", "surface", "sunken", "text", "muted", "accent", "ok", "warn", "error",
                         "ok-soft", "warn-soft", "error-soft", "accent-soft", "button", "on-button"];
          return Object.fromEntries(names.map((name) => [name, read(name)]));
        }"""
    )
    pairs = [
        (word, ground)
        for word in ("text", "muted", "accent", "ok", "warn", "error")
        for ground in ("page", "surface", "sunken")
    ]
    pairs += [
        ("text", "ok-soft"),
        ("text", "warn-soft"),
        ("error", "error-soft"),
        ("accent", "accent-soft"),
        ("on-button", "button"),
    ]
    for word, ground in pairs:
        one, other = sorted((_luminance(colours[word]), _luminance(colours[ground])), reverse=True)
        assert (one + 0.05) / (other + 0.05) >= 4.5, (scheme, word, ground, colours[word], colours[ground])
