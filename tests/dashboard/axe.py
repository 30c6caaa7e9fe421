"""axe-core, the pinned version of package-lock.json, installed on first use and run inside a page."""

from __future__ import annotations

import filecmp
import functools
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

HERE = Path(__file__).resolve().parent
SCRIPT = HERE / "node_modules/axe-core/axe.min.js"
_INSTALLED_LOCK = HERE / "node_modules/.installed-lock.json"
_GRAVE = ("serious", "critical")


@functools.cache
def _source() -> str:
    """Return axe-core's text, installing it when it is not there in the version of the lock file."""
    lock = HERE / "package-lock.json"
    if not (_INSTALLED_LOCK.exists() and filecmp.cmp(lock, _INSTALLED_LOCK, shallow=False)):
        npm = shutil.which("npm")
        assert npm is not None, "npm is not on the PATH: install Node.js (Debian: apt install npm) and run this again"
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
        subprocess.run(command, cwd=HERE, check=True)
        shutil.copyfile(lock, _INSTALLED_LOCK)
    return SCRIPT.read_text()


def findings(page: Page, but: Collection[str] = ()) -> list[str]:
    """Return the serious and critical findings in a page: rule, help and the first elements.

    Args: but: rules that are left out.
    The script is evaluated through the browser's debugger, which the page's own policy does not concern.
    """
    page.evaluate(_source())
    result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
    assert result["passes"], "axe-core has checked nothing"
    return [
        f"{found['id']}: {found['help']}: " + "; ".join(node["html"][:160] for node in found["nodes"][:3])
        for found in result["violations"]
        if found["impact"] in _GRAVE and found["id"] not in but
    ]
