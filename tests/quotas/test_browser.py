"""Quotas, limits, quarantines and health in Chromium: light and dark, wide and narrow, without a complaint."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.dashboard import axe
from tests.dashboard.browsing import CHROMIUM, NARROW, SHOTS, WIDE, Visitor
from tests.dashboard.people import ADMIN, PASSWORD
from tests.gateway import Gateway, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PAGES = {
    "quotas": "/dashboard/quotas/",
    "health": "/dashboard/health/",
    "health-30d": "/dashboard/health/?window=30d",
    "admin-limits": "/admin/keys/ratelimit/",
    "admin-limit": "/admin/keys/ratelimit/add/",
    "admin-quotas": "/admin/keys/quota/",
    "admin-quota": "/admin/keys/quota/add/",
    "admin-quarantines": "/admin/keys/quarantine/",
    "admin-quarantine": "/admin/keys/quarantine/add/",
}
MAKE_WORLD = f"""
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from keys.models import ApiKey, Quarantine, Quota, QuotaUse, RateLimit, Team
from keys.quota_models import period_of
from namespaces.models import HealthSpan, Mount, Namespace, Upstream

User.objects.create_superuser({ADMIN!r}, "root@example.org", {PASSWORD!r})
User.objects.create_user("nobody", "nobody@example.org", {PASSWORD!r})
now = timezone.now()
team = Team.objects.create(slug="payments", name="Payments")
docs, mail = (Namespace.objects.create(slug=slug) for slug in ("docs", "mail"))
key = ApiKey.objects.create(user_id="build-agent", description="CI of the long-running integration branch", team=team)
quotas = [
    Quota.objects.create(slug="trial", amount=1000),
    Quota.objects.create(slug="answers", amount=10**9, measure="response_bytes", period="month", counted="each_team"),
    Quota.objects.create(slug="searching", amount=200, tools=["search*"], namespace=docs, counted="each_user"),
    Quota.objects.create(slug="one-key-alone", amount=50, key=key, counted="together", hard=False),
    Quota.objects.create(slug="everybody", amount=100_000, counted="together", enabled=False,
                         namespace=mail),
]
used = {{"trial": (f"key:{{key.pk}}", 862), "answers": (f"team:{{team.pk}}", 412_000_000),
        "searching": ("user:a.rather.long.user.name@departments.example.org", 200), "one-key-alone": ("", 61)}}
for quota in quotas[:4]:
    spender, amount = used[quota.slug]
    begins = period_of(quota.period, now)[0]
    QuotaUse.objects.create(quota=quota, spender=spender, unit=quota.unit, begins=begins, used=amount)
RateLimit.objects.create(slug="everything", requests=6000, description="More is more than the machine can do")
RateLimit.objects.create(slug="search", requests=30, tools=["search", "find_*", "list_*", "grep"], namespace=docs,
                         counted="each_user", algorithm="sliding_window")
RateLimit.objects.create(slug="ci", requests=5, window_s=3600, key=key, enabled=False)
for fields in ({{"scope": "key", "key": key}}, {{"scope": "tool", "tool": "delete_everything", "namespace": mail}},
               {{"scope": "user", "user_id": "eve", "ends_at": now + timedelta(days=2)}}):
    Quarantine.objects.create(reason="It calls the same tool again and again; ask the team of operations", **fields)
for number, slug in enumerate(("docs-server", "mail-server")):
    upstream = Upstream.objects.create(slug=slug, url="http://127.0.0.1:10/mcp", health_interval_s=86400)
    Mount.objects.create(namespace=(docs, mail)[number], upstream=upstream)
    begin = now - timedelta(days=6)
    for health, hours in (("online", 60), ("offline", 3), ("online", 40), ("degraded", 9), ("online", 32)):
        reason = "" if health == "online" else "connect_failed"
        end = begin + timedelta(hours=hours)
        HealthSpan.objects.create(upstream=upstream, health=health, began_at=begin, ended_at=end, checks=9,
                                  reason=reason, message="Nobody listens there." if reason else "")
        begin = end
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def world(gateway: Gateway) -> Gateway:
    """A gateway with some of everything."""
    gateway.manage("shell", "-c", MAKE_WORLD)
    return gateway


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_of_protection_are_whole(chromium: Browser, world: Gateway, theme: str, size: dict[str, int]) -> None:
    visitor = Visitor(chromium, world.base, viewport=size, color_scheme=theme).sign_in()
    found = {}
    for name, path in PAGES.items():
        page = visitor.open(path)
        visitor.shot(f"protection-{name}-{size['width']}-{theme}")
        sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        own = list(visitor.complaints)
        grave = axe.findings(page) + ([f"it scrolls sideways by {sideways} px"] if sideways > 0 else [])
        visitor.complaints[:] = own  # axe tries styles that the page's policy blocks
        if grave:
            found[name] = grave
    visitor.context.close()
    assert not found, json.dumps(found, indent=1)
    assert visitor.complaints == []


def test_who_has_no_quota_is_told_why(chromium: Browser, world: Gateway) -> None:
    visitor = Visitor(chromium, world.base, viewport=NARROW).sign_in("nobody")
    page = visitor.open("/dashboard/quotas/")
    visitor.shot("protection-quotas-nobody")
    assert "There is no quota for you" in page.inner_text("main")
    visitor.open("/dashboard/health/")
    visitor.shot("protection-health-nobody")
    visitor.context.close()
    assert visitor.complaints == []


def test_a_limit_and_a_quota_of_one_key_are_made_in_the_admin(chromium: Browser, world: Gateway) -> None:
    """The key is found by typing, as on the page of a quarantine."""
    visitor = Visitor(chromium, world.base).sign_in()
    for model, field, amount in (("ratelimit", "requests", "7"), ("quota", "amount", "70")):
        page = visitor.open(f"/admin/keys/{model}/add/")
        page.fill("input[name=slug]", "made-here")
        page.fill(f"input[name={field}]", amount)
        page.click(".field-key .select2-selection")
        page.fill(".select2-search__field", "build")
        page.click(".select2-results__option:has-text('build-agent')")
        visitor.shot(f"protection-admin-{model}-filled")
        page.click("input[name=_save]")
        page.wait_for_url(f"**/admin/keys/{model}/")
        assert "made-here" in page.inner_text("#result_list")
    visitor.context.close()
    rows = (
        "SELECT (SELECT key_id FROM keys_ratelimit WHERE slug = 'made-here'),"
        " (SELECT key_id FROM keys_quota WHERE slug = 'made-here')"
    )
    ((first, second),) = wait_for(lambda: world.query(rows), 5)
    assert first == second is not None
    assert visitor.complaints == []
    assert SHOTS.exists()
