"""One worker: uvicorn on the socket it inherits, a heartbeat to the parent, and a drain that loses no call.

Run as `python -m gateway_project.server.worker --fd N`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, cast

import django
import uvicorn
from django.conf import settings

from gateway_project.server import loop_probe
from gateway_project.server.http_limits import HttpLimits
from gateway_project.server.http_protocol import GatewayHttpProtocol
from gateway_project.server.live_socket import MAX_MESSAGE_BYTES, LiveProtocol, LiveReads
from gateway_project.server.tended import TendedServer, leave_when_orphaned, wait_at_gate

logger = logging.getLogger("gateway.worker")
_LAST_CONNECTIONS_S = 0.2  # a connection accepted just before the end may still bring its request
# How long another thread (the one that reads the configuration, say) may keep the interpreter once a call wants it;
# Python's own 5 ms would be added to a call each time that its event loop wakes up.
_SWITCH_S = 0.0005


class Worker(TendedServer):
    """uvicorn's server, except that SIGTERM drains: see `drain`."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run until a signal; the task that drains belongs to this object."""
        self.loop = asyncio.get_running_loop()
        self.parent = os.getppid()
        self.draining: asyncio.Task[None] | None = None
        probing = None
        if probe := os.environ.get(loop_probe.DIRECTORY):
            probing = asyncio.create_task(loop_probe.run(probe))
        try:
            await super().serve(sockets)
        finally:
            if probing is not None:
                probing.cancel()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Start the drain; a second SIGINT (by hand, in a terminal) ends at once."""
        if self.draining is not None and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        else:
            self.loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        if self.draining is None:
            self.draining = self.loop.create_task(self.drain(orphaned=os.getppid() != self.parent))

    async def drain(self, *, orphaned: bool) -> None:
        """Say not ready while still accepting, end the streams, let short calls finish, then stop.

        `orphaned`: the parent is dead and a new one may want the port, so accepting stops at once.
        """
        from proxy.runtime import runtime

        give_up = time.monotonic() + settings.DRAIN_TIMEOUT_S
        GatewayHttpProtocol.draining = True
        runtime.begin_drain()
        self._close_live_views()
        if not orphaned:
            await asyncio.sleep(settings.DRAIN_NOTICE_S)
        for server in self.servers:
            server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.1, give_up - time.monotonic())):
                await runtime.end_streams()
        await asyncio.sleep(_LAST_CONNECTIONS_S)
        # Two counters of others, looked at seldom and briefly.
        while time.monotonic() < give_up and (runtime.in_flight or self._answers_open()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self.should_exit = True

    def _close_live_views(self) -> None:
        """Send browsers to another worker at once; they would hold the drain up for nothing."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, LiveProtocol):
                connection.shutdown()

    def _answers_open(self) -> int:
        """Count requests that have arrived completely and are not answered; a half-sent one holds nobody up."""
        connections = cast("set[GatewayHttpProtocol]", self.server_state.connections)
        return sum(connection.owes_answer() for connection in connections)


def make_config(app: str) -> uvicorn.Config:
    """Return uvicorn's configuration for the gateway; the protocol's limits are set on the way."""
    GatewayHttpProtocol.limits = HttpLimits(
        head_bytes=settings.MAX_HEAD_BYTES,
        headers=settings.MAX_HEADERS,
        head_s=settings.HEAD_TIMEOUT_S,
        body_s=settings.BODY_TIMEOUT_S,
        send_s=settings.SEND_TIMEOUT_S,
    )
    return uvicorn.Config(
        app,
        http=LiveReads,  # type: ignore[arg-type]
        loop="uvloop",
        ws="none",  # but for one path, which http_protocol.py knows; what follows is for that one
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,  # a window for each viewer costs more memory than it saves bytes
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(settings.KEEP_ALIVE_TIMEOUT_S),
        timeout_graceful_shutdown=1,
    )


def main() -> None:
    """Serve until SIGTERM."""
    options = argparse.ArgumentParser(prog="gateway worker")
    options.add_argument("--fd", type=int, required=True, help="the listening socket's descriptor")
    options.add_argument("--app", default="gateway_project.asgi:application")
    arguments = options.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    leave_when_orphaned(settings.DRAIN_TIMEOUT_S + 5)
    sys.setswitchinterval(_SWITCH_S)
    django.setup()
    config = make_config(arguments.app)
    config.load()
    wait_at_gate()
    Worker(config).run(sockets=[socket.socket(fileno=arguments.fd)])


if __name__ == "__main__":
    main()
