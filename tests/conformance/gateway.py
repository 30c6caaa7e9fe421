"""A gateway of its own for the run: temporary data directory, two namespaces, one key, started by `manage.py serve`."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.upstreams.listening import ROOT, bind

READY_S = 60  # longest wait for GET /ready
STOP_S = 20


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """Where the gateway listens, and the key that its namespaces accept."""

    port: int
    key: str

    def path(self, namespace: str) -> str:
        """The path of a namespace's endpoint."""
        return f"/mcp/{namespace}"


def _configuration(port: int, upstreams: dict[str, str], key: str) -> str:
    namespaces = {name: {"url": url, "description": f"{name} for conformance"} for name, url in upstreams.items()}
    document = {
        "server": {"host": "127.0.0.1", "port": port},
        "namespaces": namespaces,
        "auth": {"enabled": True, "api_keys": {key: {"user_id": "conformance", "description": "conformance run"}}},
        "rate_limit": {"enabled": False},
    }
    return yaml.safe_dump(document, sort_keys=False)


def _free_port() -> int:
    with contextlib.closing(bind(0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(upstreams: dict[str, str]) -> Iterator[RunningGateway]:
    """Start a gateway that publishes each upstream URL as the namespace of its name; stop it afterwards.

    Raises:
        RuntimeError: it was not ready in time; the message carries the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-conformance-") as folder:
        started = RunningGateway(_free_port(), f"conformance-{secrets.token_urlsafe(32)}")
        config, log = Path(folder, "config.yaml"), Path(folder, "serve.log")
        config.write_text(_configuration(started.port, upstreams, started.key))
        env = {**os.environ, "GATEWAY_DATA_DIR": str(Path(folder, "data")), "GATEWAY_HOST": "127.0.0.1"}
        command = [sys.executable, "manage.py", "serve", "--port", str(started.port), "--config", str(config)]
        with log.open("wb") as output:
            child = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
        try:
            _wait_until_ready(child, started.port, log)
            yield started
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait_until_ready(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and child.poll() is None:
        if _is_ready(port):
            return
        time.sleep(0.1)
    tail = log.read_text(errors="replace")[-4000:]
    raise RuntimeError(
        f"the gateway was not ready within {READY_S} s (exit code {child.poll()}); its log ends:\n{tail}"
    )


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return int(answer.status) == 200
    except OSError:  # refused, or URLError for a 503
        return False
