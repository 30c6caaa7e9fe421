"""Everything that a benchmark needs, on free loopback ports and in a temporary directory: upstream, bare, gateway."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks import fixed_answers, loads, nginx, plain_proxy, processes
from benchmarks.ways import BARE, DIRECT, GATEWAY, MCP_HEADERS, PLAIN_HEADERS, Way

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
import tests.settings  # noqa: F401 - the secrets that the gateway under test starts with
from tests.gateway import Gateway, free_port
from tests.upstreams.listening import started

KEY = "mcpgw-benchmark-0123456789abcdef0123456789"
ANSWER = loads.answers()["bench"]
BODY = loads.SMALL.body
HEADERS = MCP_HEADERS | {"Authorization": f"Bearer {KEY}"}
_STREAMED = frozenset(("events",))


@dataclass(frozen=True, slots=True)
class Rig:
    """What runs: the answering upstream, and before it the bare pass-through, the gateway, and nginx where it is."""

    urls: Mapping[str, str]  # the upstream's URL of each call, by the call's name
    upstream_name: str
    streams: str  # the MCP server that says what is no fixed answer; its `stream` tool sends events
    bare_base: str
    bare_pid: int
    gateway: Gateway
    plain_proxy: Way | None

    @property
    def upstream(self) -> str:
        """The upstream's URL of the small call."""
        return self.urls["bench"]

    @property
    def bare(self) -> str:
        """The bare pass-through's URL of the small call."""
        return f"{self.bare_base}/bench"

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

    def ways(self) -> list[Way]:
        """Return the ways of one's own: direct, nginx as a plain proxy, bare, the gateway."""
        bare = {name: f"{self.bare_base}/{name}" for name in self.urls}
        gateway = {name: self.gateway.url(name) for name in self.urls}
        return [
            Way(DIRECT, "direct", self.urls, PLAIN_HEADERS),
            *([self.plain_proxy] if self.plain_proxy else []),
            Way(BARE, "bare uvicorn + aiohttp", bare, PLAIN_HEADERS, self.bare_pid),
            Way(GATEWAY, "this gateway", gateway, HEADERS, self.worker_pid),
        ]


@contextlib.contextmanager
def running() -> Iterator[Rig]:
    """Start everything, stop everything afterwards."""
    with contextlib.ExitStack() as stack:
        streams = stack.enter_context(started("benchmarks.upstream"))
        urls = stack.enter_context(fixed_answers.running(streams)) | {"events": streams}
        has_nginx = nginx.program() is not None
        name = "nginx" if has_nginx else "benchmarks.upstream (nginx is not installed)"
        proxy = stack.enter_context(plain_proxy.running(urls, _STREAMED)) if has_nginx else None
        base, pid = stack.enter_context(_bare(urls["bench"], streams))
        gateway = Gateway(config=_configuration(urls), env={"GATEWAY_STREAMS_PER_KEY": "2000"})
        stack.callback(gateway.close)
        yield Rig(urls, name, streams, base, pid, gateway.start(), proxy)


@contextlib.contextmanager
def _bare(upstream: str, streams: str) -> Iterator[tuple[str, int]]:
    """Run the bare pass-through; yield its address and process id."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--port", str(port), "--loop", "uvloop"]
    command += ["--http", "httptools", "--no-access-log", "--log-level", "warning", "--lifespan", "off"]
    env = {**os.environ, "BARE_UPSTREAM": upstream.rpartition("/")[0], "BARE_STREAMS": streams}
    with processes.running(command, f"{base}/bench", env=env) as pid:
        yield base, pid


def _configuration(urls: Mapping[str, str]) -> dict[str, object]:
    """Return what the gateway serves: listed tools but for `whole`, a key with a limit that refuses nothing."""
    opened = ["add", "echo", "report", f"{loads.OPEN}*", "stream"]
    listed = {"mode": "listed", "listed": opened, "denied": ["hang"]}
    rules = {"tools": listed, "prompts": {"mode": "none"}, "resources": {"mode": "none"}}
    return {
        "version": 1,
        "upstreams": {name: {"url": url, "era": "legacy"} for name, url in urls.items()},
        "namespaces": {name: {"upstream": name} | ({} if name == "whole" else rules) for name in urls},
        "keys": [
            {
                "user_id": "bench",
                "key": KEY,
                "namespaces": list(urls),
                "requests_per_minute": 10_000_000,
                "burst": 1_000_000,
            }
        ],
    }
