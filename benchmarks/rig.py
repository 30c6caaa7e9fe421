"""Everything that a benchmark needs, on free loopback ports and in a temporary directory: upstream, bare, gateway."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
import tests.settings  # noqa: F401 - the secrets that the gateway under test starts with
from tests.gateway import Gateway, free_port
from tests.upstreams.listening import started

KEY = "mcpgw-benchmark-0123456789abcdef0123456789"
# By this version nginx tells the benchmark's calls from the gateway's own look at the list of tools.
VERSION = "2025-06-18"
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "echo", "arguments": {"city": "Zürich", "units": "metric", "days": 3}},
}
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "Sunny, 21 degrees, no wind"}]}}
BODY = json.dumps(CALL, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Rig:
    """What runs: the answering upstream, the bare pass-through before it, the gateway before it."""

    upstream: str  # answers every benchmark call with ANSWER
    upstream_name: str
    streams: str  # an upstream whose `stream` tool sends events
    bare: str
    bare_pid: int
    gateway: Gateway

    @property
    def url(self) -> str:
        """The gateway's endpoint before the answering upstream."""
        return self.gateway.url("bench")

    @property
    def worker_pid(self) -> int:
        """The one worker's process id."""
        return self.gateway.worker_pids()[0]

    @property
    def postgres_pid(self) -> int:
        """The process id of the embedded server's first process."""
        return int((self.gateway.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


@contextlib.contextmanager
def running() -> Iterator[Rig]:
    """Start everything, stop everything afterwards."""
    with contextlib.ExitStack() as stack:
        streams = stack.enter_context(started("tests.upstreams.echo_fast"))
        upstream, name = stack.enter_context(_upstream(streams))
        port = free_port()
        bare = f"http://127.0.0.1:{port}/"
        command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--port", str(port), "--loop", "uvloop"]
        command += ["--http", "httptools", "--no-access-log", "--log-level", "warning", "--lifespan", "off"]
        pid = stack.enter_context(processes.running(command, bare, env={"BARE_UPSTREAM": upstream}))
        gateway = Gateway(config=_configuration(upstream, streams))
        stack.callback(gateway.close)
        yield Rig(upstream, name, streams, bare, pid, gateway.start())


def _configuration(upstream: str, streams: str) -> dict[str, object]:
    """Return what the gateway serves: listed tools, a key with a limit that refuses nothing."""
    listed = {"mode": "listed", "listed": ["add", "echo", "get_*", "stream"], "denied": ["hang"]}
    rules = {"tools": listed, "prompts": {"mode": "none"}, "resources": {"mode": "none"}}
    return {
        "version": 1,
        "upstreams": {"bench": {"url": upstream, "era": "legacy"}, "streams": {"url": streams, "era": "legacy"}},
        "namespaces": {"bench": {"upstream": "bench"} | rules, "streams": {"upstream": "streams"} | rules},
        "keys": [
            {
                "user_id": "bench",
                "key": KEY,
                "namespaces": ["bench", "streams"],
                "requests_per_minute": 10_000_000,
                "burst": 1_000_000,
            }
        ],
    }


_NGINX = """
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 60s;
    client_body_temp_path {directory};
    proxy_temp_path {directory};
    fastcgi_temp_path {directory};
    uwsgi_temp_path {directory};
    scgi_temp_path {directory};
    default_type application/json;
    map $http_user_agent:$http_mcp_protocol_version $own {{
        default 1;
        "mcp-gateway:{version}" 1;
        "~^mcp-gateway:" 0;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            if ($own) {{ return 200 '{answer}'; }}
            proxy_pass {other};
        }}
    }}
}}
"""


@contextlib.contextmanager
def _upstream(streams: str) -> Iterator[tuple[str, str]]:
    """Run nginx answering ANSWER to the benchmark's calls, or use the light Python upstream where there is none."""
    if (nginx := shutil.which("nginx")) is None:
        yield streams, "tests.upstreams.echo_fast (nginx is not installed)"
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as directory:
        config = Path(directory, "nginx.conf")
        text = _NGINX.format(
            directory=directory,
            version=VERSION,
            port=port,
            answer=json.dumps(ANSWER),
            other=streams.replace("/mcp", ""),
        )
        config.write_text(text)
        url = f"http://127.0.0.1:{port}/mcp"
        with processes.running([nginx, "-c", str(config), "-p", directory], url):
            yield url, "nginx"
