"""A browser window that notes what a strict page must never cause, and the pages that every check walks through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.dashboard.people import ADMIN, PASSWORD

SHOTS = Path(__file__).resolve().parents[2] / "test-artifacts" / "dashboard"
CHROMIUM = "/usr/bin/chromium"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

# Name of the picture -> address. Pages of every part are here, so that all are held to the same.
PAGES = {
    "overview": "/dashboard/?period=7d",
    "overview-empty": "/dashboard/?namespace=no-such-namespace",
    "namespaces": "/dashboard/namespaces/?period=7d",
    "namespace": "/dashboard/namespaces/warehouse/?period=7d",
    "users": "/dashboard/users/?period=7d",
    "user": "/dashboard/users/alice/?period=1h",
    "key": "/dashboard/keys/101/?period=24h",
    "tools": "/dashboard/tools/?period=7d&order=p95",
    "tool": "/dashboard/tools/warehouse/run_query/?period=7d",
    "upstreams": "/dashboard/upstreams/?period=24h",
    "upstream": "/dashboard/upstreams/github-mcp/?period=7d",
    "health": "/dashboard/health/?window=7d",
    "quotas-empty": "/dashboard/quotas/",
    "requests": "/dashboard/requests/?period=24h&errors_only=true",
    "requests-empty": "/dashboard/requests/?tool=no-such-tool",
    "live": "/dashboard/live/",
    "my-keys": "/account/keys/",
    "password": "/accounts/password/",
    "docs": "/docs",
}
# Answers that are no pages of their own, by their status.
MISHAPS = {"bad-parameter": ("/dashboard/?period=nonsense", 400), "not-found": ("/dashboard/users/nobody/", 404)}
PUBLIC_PAGES = {"login": "/accounts/login/", "reset": "/accounts/reset/"}


class Visitor:
    """A browser page whose console errors, policy violations and failed requests are noted."""

    def __init__(self, browser: Browser, base: str, **options: Any) -> None:
        options.setdefault("viewport", WIDE)
        self.context = browser.new_context(base_url=base, timezone_id="Europe/Berlin", **options)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.expected_status = 200
        self.page.on("console", lambda m: self.complain(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complain(str(error)))
        self.page.on("response", lambda r: self.complain(f"{r.status} {r.url}") if r.status >= 400 else None)

    def complain(self, text: str) -> None:
        """Note a complaint unless it is about the status that the page was opened for."""
        if self.expected_status == 200 or str(self.expected_status) not in text:
            self.complaints.append(text)

    def sign_in(self, name: str = ADMIN) -> Visitor:
        """Sign in through the page."""
        self.page.goto("/accounts/login/")
        self.page.fill("input[name=username]", name)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.press("input[name=password]", "Enter")
        self.page.wait_for_url("**/dashboard/**")
        return self

    def open(self, path: str, status: int = 200) -> Page:
        """Open a page that is to answer with `status`, and return it once it is drawn."""
        self.expected_status = status
        answer = self.page.goto(path)
        assert answer is not None and answer.status == status, f"{path} answered {answer and answer.status}"
        self.page.wait_for_load_state("load")
        if path == "/docs":  # drawn by Swagger UI once it has read the description
            self.page.wait_for_selector(".swagger-ui .opblock")
        return self.page

    def shot(self, name: str, *, full_page: bool = True) -> None:
        """Keep a picture."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=full_page)
