"""Every page in a browser: light and dark, wide and narrow, without a complaint of the console or of the policy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.dashboard.browsing import MISHAPS, NARROW, PAGES, PUBLIC_PAGES, WIDE, Visitor

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]

LOOKS = [("light", WIDE), ("dark", WIDE), ("light", NARROW), ("dark", NARROW)]


@pytest.mark.parametrize(
    ("theme", "size"), LOOKS, ids=lambda value: value if isinstance(value, str) else str(value["width"])
)
def test_every_page_is_whole_and_never_scrolls_sideways(visit: Visit, theme: str, size: dict[str, int]) -> None:
    public = visit(viewport=size, color_scheme=theme)
    for name, path in PUBLIC_PAGES.items():
        check(public, f"{name}-{theme}-{size['width']}", path)
    visitor = visit(viewport=size, color_scheme=theme).sign_in()
    for name, path in PAGES.items():
        check(visitor, f"{name}-{theme}-{size['width']}", path)
    for name, (path, status) in MISHAPS.items():
        check(visitor, f"{name}-{theme}-{size['width']}", path, status)


def check(visitor: Visitor, picture: str, path: str, status: int = 200) -> None:
    page = visitor.open(path, status)
    assert page.locator("h1:visible").count() == 1, f"{path} has not one heading"
    overhang = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overhang <= 0, f"{path} is {overhang} px wider than the window"
    visitor.shot(picture)
