"""nginx in front of a gateway, as deploy/nginx.conf has it but for TLS, on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import ROOT, Gateway, free_port, wait_for

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
needed = pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed")


@contextlib.contextmanager
def in_front_of(gateway: Gateway, directory: Path, log_format: str = "", scheme: str = "https") -> Iterator[int]:
    """Run it and yield its port.

    Args: directory: for its files, among them `access` with a line of `log_format` for each request; scheme: over
    which it says that clients came.
    """
    port = free_port()
    site = re.sub(r"\n *ssl_certificate.*", "", (ROOT / "deploy/nginx.conf").read_text())
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port}").replace("$scheme", scheme)
    site = site.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}")
    paths = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in "client_body proxy fastcgi uwsgi scgi".split())
    log = f"log_format test '{log_format}'; access_log {directory}/access test;" if log_format else "access_log off;"
    user = "user root;" if os.geteuid() == 0 else ""
    conf = directory / "nginx.conf"
    own = f"{user} daemon off; pid {directory}/pid; error_log {directory}/log; events {{}}"
    conf.write_text(f"{own} http {{ {log} {paths} {site} }}")
    process = subprocess.Popen([NGINX, "-e", str(directory / "log"), "-c", str(conf)])
    try:
        wait_for(lambda: (directory / "pid").exists() and (directory / "pid").read_text().strip(), 10)
        yield port
    finally:
        process.terminate()
        process.wait(10)
