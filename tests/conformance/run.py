"""Run the conformance suite directly and through the gateway, and compare check by check.

`python -m tests.conformance.run [--direct-only] [--target sdk|everything] [--gateway URL --key KEY]`
The exit code is 1 when a check that passes directly does not pass through, or a scored scenario is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from tests.conformance import gateway, node, suite
from tests.conformance.compare import Comparison
from tests.conformance.forwarder import Forwarder
from tests.upstreams.listening import ROOT, bind, started

RESULTS = ROOT / "benchmarks" / "results"
# The reference server speaks the legacy era only.
TARGETS = {"sdk": suite.REVISIONS, "everything": ("2025-11-25",)}
START_S = 20


@contextlib.contextmanager
def everything() -> Iterator[str]:
    """The reference server of npm on a free port; yields its URL."""
    with contextlib.closing(bind(0)) as listener:
        port = listener.getsockname()[1]
    env = {**os.environ, "PORT": str(port)}
    command = [node.binary(), str(node.EVERYTHING), "streamableHttp"]
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(child, port)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        child.terminate()
        child.wait(timeout=10)


def _wait_for_port(child: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"server-everything did not listen on port {port} within {START_S} s")


def upstream(target: str) -> contextlib.AbstractContextManager[str]:
    """Start a target; the context yields its URL."""
    return everything() if target == "everything" else started("tests.upstreams.sdk_server")


async def compare(target: str, url: str, through: str | None, key: str) -> list[Comparison]:
    """Run every requirement set of a target directly, then through `through` (a namespace's URL) if there is one."""
    found = []
    for revision in TARGETS[target]:
        direct = await suite.run(url, revision)
        passed = None
        if through is not None:
            parts = urlsplit(through)
            forwarder = Forwarder(parts.hostname or "", parts.port or 80, f"Authorization: Bearer {key}")
            async with forwarder.listening() as port:
                passed = await suite.run(f"http://127.0.0.1:{port}{parts.path}", revision)
        found.append(Comparison(target, revision, suite.scored_scenarios(revision), direct, passed))
        print(found[-1].table(), end="\n\n", flush=True)
    return found


def write(comparison: Comparison) -> None:
    """Keep a result with what is needed to read it later."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    document = comparison.summary() | {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            "mcp": version("mcp"),
            "conformance": node.package_version("@modelcontextprotocol/conformance"),
            "server-everything": node.package_version("@modelcontextprotocol/server-everything"),
        },
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"conformance-{comparison.target}-{comparison.revision}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {path.relative_to(ROOT)}")


def run(options: argparse.Namespace) -> list[Comparison]:
    """Start what is needed, run, compare."""
    targets = [options.target] if options.target else list(TARGETS)
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(upstream(name)) for name in targets}
        bases: dict[str, str | None] = dict.fromkeys(targets)
        key = options.key
        if options.gateway:
            bases = {name: f"{options.gateway.rstrip('/')}/{name}" for name in targets}
        elif not options.direct_only:
            running = stack.enter_context(gateway.running(urls))
            key = running.key
            bases = {name: f"http://127.0.0.1:{running.port}{running.path(name)}" for name in targets}
        found: list[Comparison] = []
        for name in targets:
            found += asyncio.run(compare(name, urls[name], bases[name], key))
        return found


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct-only", action="store_true", help="do not start a gateway; write no results")
    parser.add_argument("--target", choices=TARGETS, help="only this upstream")
    parser.add_argument("--gateway", metavar="URL", help="use a running gateway: URL/sdk and URL/everything")
    parser.add_argument("--key", default="", help="the key for --gateway")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; answers the exit code."""
    options = _options(arguments)
    try:
        found = run(options)
    except (node.NodeMissing, RuntimeError) as problem:
        print(f"conformance: {problem}", file=sys.stderr)
        return 2
    if not options.direct_only:
        for comparison in found:
            write(comparison)
    worse = sum(len(comparison.regressions) for comparison in found)
    print(f"{worse} differences for the worse" if not options.direct_only else "direct runs only; nothing compared")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
