"""nginx as a plain proxy before the same upstream, one worker: the limit of what a gateway can reach.

It checks nothing, records nothing and reads no message; it is C and has no interpreter.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import nginx
from benchmarks.ways import NGINX, PLAIN_HEADERS, Way
from tests.gateway import free_port

_LOCATION = """
        location = /{name} {{
            proxy_pass {url};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 1h;
            {buffering}
        }}"""
_SITE = """
    upstream answers {{ server {answers}; keepalive 512; }}
    upstream streams {{ server {streams}; keepalive 512; }}
    server {{
        listen 127.0.0.1:{port};{locations}
    }}
"""


@contextlib.contextmanager
def running(urls: Mapping[str, str], streamed: frozenset[str]) -> Iterator[Way]:
    """Proxy each of the URLs, and yield the way through it.

    Args: urls: by the name of the call; streamed: names whose answers are streams, passed on unbuffered.
    """
    port = free_port()
    locations = "".join(_location(name, url, name in streamed) for name, url in urls.items())
    hosts = {name in streamed: urlsplit(url).netloc for name, url in urls.items()}
    site = _SITE.format(answers=hosts[False], streams=hosts[True], port=port, locations=locations)
    own = {name: f"http://127.0.0.1:{port}/{name}" for name in urls}
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-proxy-"))
        pid = stack.enter_context(nginx.running(site, own["bench"], Path(directory)))
        yield Way(NGINX, "nginx, plain proxy", own, PLAIN_HEADERS, pid)


def _location(name: str, url: str, is_stream: bool) -> str:
    """Return the block of one URL, over the connections that are kept to its host."""
    group = "streams" if is_stream else "answers"
    kept = urlsplit(url)._replace(netloc=group).geturl()
    return _LOCATION.format(name=name, url=kept, buffering="proxy_buffering off;" if is_stream else "")
