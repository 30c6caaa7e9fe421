"""The process that makes pages: uvicorn on the Unix socket that workers hand requests to, below them in priority.

Run as `python -m gateway_project.server.pages --fd N`.
"""

from __future__ import annotations

import argparse
import os
import socket

import django
import uvicorn
from django.conf import settings

from gateway_project.server.tended import TendedServer, leave_when_orphaned, wait_at_gate
from gateway_project.socket_path import short_path

# A worker opens a connection for each request; this only bounds what it leaves behind by dying.
_IDLE_S = 5


def bind(path: str) -> socket.socket:
    """Return a listening Unix socket; what connects while nobody serves waits for the next process that does."""
    with_directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        address = short_path(with_directory, os.path.basename(path))
        if os.path.lexists(address):
            os.unlink(address)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(address)
        os.chmod(address, 0o600)
    finally:
        os.close(with_directory)
    listener.listen(256)
    listener.setblocking(False)
    return listener


def main() -> None:
    """Serve until SIGTERM."""
    options = argparse.ArgumentParser(prog="gateway pages")
    options.add_argument("--fd", type=int, required=True, help="the listening socket's descriptor")
    arguments = options.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    leave_when_orphaned(settings.DRAIN_TIMEOUT_S + 5)
    os.nice(settings.BACKGROUND_NICENESS)
    django.setup()
    config = uvicorn.Config(
        "gateway_project.pages:application",
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # the application has its own middleware for that
        server_header=False,
        date_header=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=int(settings.DRAIN_TIMEOUT_S) or 1,
    )
    config.load()
    wait_at_gate()
    TendedServer(config).run(sockets=[socket.socket(fileno=arguments.fd)])


if __name__ == "__main__":
    main()
