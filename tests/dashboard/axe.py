"""axe-core, the pinned version of package-lock.json, installed on first use and run inside a page."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests import npm

HERE = Path(__file__).resolve().parent
SCRIPT = HERE / "node_modules/axe-core/axe.min.js"
_GRAVE = ("serious", "critical")


@functools.cache
def _source() -> str:
    """Return axe-core's text, installing it when it is not there in the version of the lock file."""
    npm.install(HERE)
    return SCRIPT.read_text()


def findings(page: Page) -> list[str]:
    """Return the serious and critical findings in a page: rule, help and the first elements.

    The script is evaluated through the browser's debugger, which the page's own policy does not concern.
    """
    page.evaluate(_source())
    result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
    assert result["passes"], "axe-core has checked nothing"
    return [
        f"{found['id']}: {found['help']}: " + "; ".join(node["html"][:160] for node in found["nodes"][:3])
        for found in result["violations"]
        if found["impact"] in _GRAVE
    ]
