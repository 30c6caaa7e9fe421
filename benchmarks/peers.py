"""Other gateways in Python, each in an environment of its own, before the same upstream and under the same load.

An environment is made once under the user's cache directory. What cannot be installed or started is left out, with the
reason in words.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import contextforge, processes
from benchmarks.loads import CALLS
from benchmarks.ways import MCP_HEADERS, Way
from tests.gateway import free_port

FASTMCP, CONTEXTFORGE = "fastmcp", "contextforge"
_INSTALL_S = 900
_START_S = 120
_HERE = Path(__file__).resolve().parent
# What goes wrong when a package is not to be had, does not start, or is not what it was.
_FAILURES = (OSError, RuntimeError, AssertionError, subprocess.SubprocessError, httpx.HTTPError, KeyError)


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them: a pinned package, and what starts it with the interpreter of its environment."""

    name: str
    called: str
    package: str
    version: str
    start: Callable[[Peer, Path, str], AbstractContextManager[Way]]

    @property
    def title(self) -> str:
        """What it is called in tables."""
        return f"{self.called} {self.version}"


@contextlib.contextmanager
def running(upstream: str) -> Iterator[tuple[list[Way], dict[str, str]]]:
    """Start all that can be started; yield their ways, and why each of the others is missing, by its name."""
    with contextlib.ExitStack() as stack:
        ways, missing = [], {}
        for peer in PEERS:
            try:
                ways.append(stack.enter_context(peer.start(peer, _installed(peer), upstream)))
            except _FAILURES as failure:
                missing[peer.name] = f"{peer.title} is left out: {type(failure).__name__}: {str(failure)[:500]}"
                print(missing[peer.name], flush=True)
        yield ways, missing


def _installed(peer: Peer) -> Path:
    """Return the Python that has the package, in an environment that is made when there is none.

    Raises RuntimeError with what pip said last, TimeoutExpired.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "mcp-gateway-bench" / f"{peer.package}-{peer.version}"
    python, done = directory / "bin" / "python", directory / "installed"
    if not done.exists():
        print(f"Installing {peer.title} (once, about a minute) into {directory}", flush=True)
        wanted = f"{peer.package}=={peer.version}"
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(directory)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted],
        ):
            made = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
            if made.returncode != 0:
                raise RuntimeError((made.stderr or made.stdout).strip()[-400:])
        done.touch()
    return python


@contextlib.contextmanager
def _fastmcp(peer: Peer, python: Path, upstream: str) -> Iterator[Way]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    command = [str(python), str(_HERE / "fastmcp_proxy.py"), upstream, str(port)]
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-fastmcp-"))
        pid = stack.enter_context(_served(command, url, _clean(), Path(directory)))
        yield _way(peer, url, {}, pid, "")


@contextlib.contextmanager
def _contextforge(peer: Peer, python: Path, upstream: str) -> Iterator[Way]:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [str(python.parent / "mcpgateway"), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "error"]
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-contextforge-")))
        env = _clean() | contextforge.environment(directory)
        pid = stack.enter_context(_served(command, f"{base}/health", env, directory))
        known = {"Authorization": f"Bearer {contextforge.token(python, env, directory)}"}
        url = contextforge.publish(base, known, upstream)
        yield _way(peer, url, known, pid, contextforge.PREFIX)


def _way(peer: Peer, url: str, known: dict[str, str], pid: int, prefix: str) -> Way:
    urls = dict.fromkeys((call.name for call in CALLS), url)
    return Way(peer.name, peer.title, urls, MCP_HEADERS | known, pid, prefix, slow=True)


def _clean() -> dict[str, str]:
    """Return this process's environment without what could be taken for a setting."""
    kept = ("HOME", "PATH", "LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _served(command: list[str], url: str, env: dict[str, str], directory: Path) -> AbstractContextManager[int]:
    return processes.running(command, url, env, within_s=_START_S, directory=directory)


PEERS = (
    Peer(FASTMCP, "FastMCP proxy", "fastmcp", "4.2.3", _fastmcp),
    Peer(CONTEXTFORGE, "ContextForge", "mcp-contextforge-gateway", "1.0.7", _contextforge),
)
