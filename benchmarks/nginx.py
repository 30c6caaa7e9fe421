"""nginx with one worker on a free loopback port: what the upstream and the plain proxy of the benchmark share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from tests.nginx import NGINX

_CONF = """
{user}
worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 60s;
    client_body_temp_path {directory}/client;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type application/json;
    {site}
}}
"""


def program() -> str | None:
    """Return where nginx is, None where it is not installed."""
    return NGINX if Path(NGINX).exists() else None


@contextlib.contextmanager
def running(site: str, ready_url: str, directory: Path) -> Iterator[int]:
    """Serve what stands in the http block and yield the process id of nginx's master.

    Args: site: the block's content; ready_url: what answers once it serves; directory: for its files.
    Raises RuntimeError when it does not answer.
    """
    found = program()
    assert found is not None, "nginx is not installed"
    # Its worker would otherwise be a user who may not look into the directory.
    user = "user root;" if os.geteuid() == 0 else ""
    conf = directory / "nginx.conf"
    conf.write_text(_CONF.format(user=user, directory=directory, site=site))
    with processes.running([found, "-c", str(conf), "-p", str(directory)], ready_url) as pid:
        yield pid
