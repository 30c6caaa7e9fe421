"""The pages of accounts, keys and teams in Chromium: light and dark, wide and narrow, without a complaint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.gateway import Gateway
from tests.teams.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
SHOTS = Path(__file__).resolve().parents[2] / "test-artifacts"
MAKE_WORLD = f"""
from django.contrib.auth.models import User
from keys.models import ApiKey, Membership, Team
from namespaces.models import Namespace
team = Team.objects.create(slug="payments", name="Payments", description="Invoices, refunds and their agents.")
other = Team.objects.create(slug="search", name="Search")
for slug, text in (("billing", "Invoices and refunds"), ("ledger", "The books, to read"), ("mail", "")):
    team.namespaces.create(namespace=Namespace.objects.create(slug=slug, description=text))
other.namespaces.create(namespace=Namespace.objects.create(slug="index"))
for name, role in (("ada", "admin"), ("grace", "auditor"), ("linus", "member")):
    account = User.objects.create_user(name, f"{{name}}@example.org", {PASSWORD!r})
    Membership.objects.create(team=team, account=account, role=role)
    key = ApiKey.objects.create(user_id=name, description="laptop", team=team, owner=account, created_by=name)
    key.grants.create(namespace=Namespace.objects.get(slug="billing"))
    key.issue()
Membership.objects.create(team=other, account=User.objects.get(username="linus"), role="member")
User.objects.create_superuser("root", "root@example.org", {PASSWORD!r})
"""
WINDOWS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def running(gateway: Gateway) -> Gateway:
    """A gateway with two teams."""
    gateway.manage("shell", "-c", MAKE_WORLD)
    return gateway


class Visitor:
    """A window that notes console errors and failed requests, and keeps pictures."""

    def __init__(self, chromium: Browser, base: str, width: int, scheme: str) -> None:
        self.context = chromium.new_context(
            base_url=base, viewport={"width": width, "height": 900}, color_scheme=scheme
        )  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.suffix = f"{width}-{scheme}"
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("response", lambda r: self.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def sign_in(self, name: str, path: str = "/account/keys/") -> None:
        """Sign in and arrive at a page."""
        self.page.goto(path)
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name=re.compile("Sign in|Log in")).click()
        self.page.wait_for_url(f"**{path}")

    def look(self, name: str) -> None:
        """Keep a picture; the page must not scroll sideways."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"teams-{name}-{self.suffix}.png", full_page=True)
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} scrolls sideways by {wide} px"

    def close(self) -> None:
        """Close the window, which must have had nothing to complain of."""
        self.context.close()
        assert not self.complaints


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_a_member_finds_the_way_from_signing_in_to_a_revoked_key(
    chromium: Browser, running: Gateway, width: int, scheme: str
) -> None:
    visitor = Visitor(chromium, running.base, width, scheme)
    page = visitor.page
    page.goto("/accounts/reset/")
    expect(page.get_by_text("No mail server is configured")).to_be_visible()
    visitor.look("reset")
    page.goto("/accounts/login/")
    visitor.look("login")
    visitor.sign_in("linus")
    visitor.look("my-keys")
    page.get_by_role("link", name="Issue a key").click()
    visitor.look("choose-team")
    page.get_by_label("Payments").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("billing: Invoices and refunds").check()
    page.get_by_label("Description").fill(f"desk {visitor.suffix}")
    visitor.look("issue")
    page.get_by_role("button", name="Issue key").click()
    secret = page.locator("#secret").inner_text()
    assert secret.startswith("mcpgw_")
    expect(page.get_by_role("button", name="Copy").first).to_be_visible()
    visitor.look("issued")
    page.reload()  # leads to the list and issues no second key
    expect(page.get_by_text(f"desk {visitor.suffix}")).to_have_count(1)
    assert secret not in page.content()
    row = page.get_by_role("row").filter(has_text=f"desk {visitor.suffix}")
    row.get_by_role("link", name="Rotate").click()
    visitor.look("rotate")
    page.get_by_role("button", name="Rotate key").click()
    assert page.locator("#secret").inner_text() != secret
    page.get_by_role("link", name="Done, go to my keys").click()
    row.get_by_role("link", name="Revoke").click()
    visitor.look("revoke")
    page.get_by_role("button", name="Revoke for good").click()
    expect(page.get_by_text("It is refused from its next request on.")).to_be_visible()
    expect(row.get_by_text("revoked")).to_be_visible()
    page.goto("/accounts/password/")
    visitor.look("password")
    visitor.close()


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_an_admin_sees_the_team_and_an_auditor_only_looks(
    chromium: Browser, running: Gateway, width: int, scheme: str
) -> None:
    for name in ("ada", "grace"):
        visitor = Visitor(chromium, running.base, width, scheme)
        visitor.sign_in(name)
        visitor.page.get_by_role("link", name="Payments").click()
        expect(visitor.page.get_by_role("heading", name="Payments")).to_be_visible()
        visitor.look(f"team-{name}")
        assert visitor.page.get_by_role("button", name="Add").count() == (name == "ada")
        if name == "ada":
            visitor.page.get_by_role("link", name="Remove grace").click()
            visitor.look("remove-member")
        visitor.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_team_is_edited_in_the_admin_with_a_search_for_people(
    chromium: Browser, running: Gateway, width: int, scheme: str
) -> None:
    visitor = Visitor(chromium, running.base, width, scheme)
    page = visitor.page
    visitor.sign_in("root", "/admin/")
    page.goto("/admin/keys/team/")
    page.get_by_role("link", name="search", exact=True).click()
    page.locator("#memberships-group .add-row a").click()
    page.locator("#memberships-group .select2-selection").last.click()
    page.locator(".select2-search__field").fill("gra")
    page.get_by_role("option", name="grace").click()
    visitor.look("admin-team")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/admin/keys/apikey/")
    page.get_by_role("link", name=re.compile("^ada #")).click()
    page.locator(".field-team .select2-selection").click()
    page.get_by_role("option", name="payments").click()
    visitor.look("admin-key")
    visitor.close()
    assert running.query(
        "SELECT count(*) FROM keys_membership m JOIN auth_user u ON u.id = m.account_id WHERE username = 'grace'"
    )[0][0] in (1, 2)
