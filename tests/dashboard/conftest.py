"""Fixtures of the dashboards' tests: signed-in people, and a real gateway with the story, seen through Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.test import Client
from playwright.sync_api import Browser, sync_playwright

from tests import databases
from tests.conftest import Gateways
from tests.dashboard import story
from tests.dashboard.browsing import CHROMIUM, Visitor
from tests.gateway import ROOT, Gateway, wait_for


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    caches["ratelimit"].clear()


@pytest.fixture
def sign_in() -> Callable[[User], Client]:
    """Return a function that opens an account's browser."""

    def signed_in(account: User) -> Client:
        client = Client()
        client.force_login(account)
        return client

    return signed_in


@pytest.fixture
def boss(db: None, sign_in: Callable[[User], Client]) -> Client:
    """The browser of an account that sees everything."""
    return sign_in(User.objects.create_superuser("boss"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; not for the whole run, because Playwright's loop would be in the way of other modules'."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def told_gateway(request: pytest.FixtureRequest, migrated_database: str) -> Iterator[Gateway]:
    """Yield a gateway whose database holds the story, with its roll-ups and its people."""
    url = databases.copy(migrated_database)
    settle = "import django; django.setup(); from tests.dashboard.people import settle; settle()"
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "gateway_project.settings"}
    subprocess.run([sys.executable, "-c", settle], cwd=ROOT, env=env, check=True)
    story.store(url, story.tell(datetime.now(UTC)))
    with Gateways(request) as start:
        gateway = start(database_url=url)
        wait_for(
            lambda: gateway.query("SELECT 1 FROM analytics_rollupstate WHERE rolled_to > now() - interval '1 minute'"),
            60,
        )
        yield gateway
    databases.drop(url)


@pytest.fixture
def visit(browser: Browser, told_gateway: Gateway) -> Iterator[Callable[..., Visitor]]:
    """Return a function that opens a browser window; none may have complained at the end."""
    visitors: list[Visitor] = []

    def open_window(**options: object) -> Visitor:
        visitors.append(Visitor(browser, told_gateway.base, **options))
        return visitors[-1]

    yield open_window
    for visitor in visitors:
        visitor.context.close()
        assert not visitor.complaints
