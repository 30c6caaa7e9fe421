"""The ways that a call can take to the upstream, so that each can be put under the same load in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks import processes
from benchmarks.loads import VERSION, Call

DIRECT, NGINX, BARE, GATEWAY = "direct", "nginx", "bare", "gateway"
PLAIN_HEADERS = {"Content-Type": "application/json"}
MCP_HEADERS = PLAIN_HEADERS | {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": VERSION}


@dataclass(frozen=True, slots=True)
class Way:
    """One way: the URL of each call by its name, what is sent along, and whose CPU time counts.

    `pid` is the first process (its children count as well), None where nothing stands between; `prefix` is put before
    the names of tools; `slow` says that a few dozen calls a second are expected, so that one round is enough.
    """

    name: str
    title: str
    urls: Mapping[str, str]
    headers: Mapping[str, str]
    pid: int | None = None
    prefix: str = ""
    slow: bool = False

    def body(self, call: Call) -> bytes:
        """The request as this way wants it."""
        return call.body_for(self.prefix) if self.prefix else call.body

    def cpu_s(self) -> float:
        """CPU time so far, in seconds."""
        return 0.0 if self.pid is None else processes.tree_cpu_s(self.pid)
