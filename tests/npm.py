"""npm packages of a folder's package-lock.json, installed on first use, once even when several processes ask."""

from __future__ import annotations

import filecmp
import functools
import shutil
import subprocess
from pathlib import Path

from gateway_project import file_lock


class NodeMissing(Exception):
    """Node or npm is not there; the message says what to install."""


@functools.cache
def install(folder: Path) -> None:
    """Install the folder's packages unless those of its lock file are there.

    Raises:
        NodeMissing: npm is not on the PATH.
    """
    lock, installed = folder / "package-lock.json", folder / "node_modules/.installed-lock.json"
    with file_lock.held(lock):
        if installed.exists() and filecmp.cmp(lock, installed, shallow=False):
            return
        npm = shutil.which("npm")
        if npm is None:
            raise NodeMissing("npm is not on the PATH: install Node.js (Debian: apt install npm) and run this again")
        print(f"installing the npm packages of {folder.name} (once, up to half a minute) …", flush=True)
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
        subprocess.run(command, cwd=folder, check=True)
        shutil.copyfile(lock, installed)
