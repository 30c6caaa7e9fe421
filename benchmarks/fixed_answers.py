"""The answering upstream: nginx with one answer a path, in front of the MCP server that says all the rest."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import loads, nginx
from tests.gateway import free_port

# A POST to a file is refused, and nginx then looks for the page of that refusal: the file itself, with 200.
_SITE = """
    open_file_cache max=16;
    map $http_user_agent:$http_mcp_protocol_version $own {{
        default 1;
        "mcp-gateway:{version}" 1;
        "~^mcp-gateway:" 0;
    }}
    server {{
        listen 127.0.0.1:{port};
        location = /bench {{
            if ($own) {{ return 200 '{answer}'; }}
            proxy_pass {other};
        }}
        location / {{
            if ($own = 0) {{ proxy_pass {other}; }}
            root {directory};
            error_page 405 =200 $uri;
        }}
    }}
"""


@contextlib.contextmanager
def running(other: str) -> Iterator[dict[str, str]]:
    """Run it and yield the URL of each call that it answers, by name; without nginx `other` answers all of them.

    Args: other: the MCP server's URL.
    """
    answers = loads.answers()
    if nginx.program() is None:
        yield dict.fromkeys(answers, other)
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as directory:
        for name, answer in answers.items():
            Path(directory, name).write_text(json.dumps(answer))
        site = _SITE.format(
            version=loads.VERSION,
            port=port,
            answer=json.dumps(answers["bench"]),
            other=other.removesuffix("/mcp"),
            directory=directory,
        )
        base = f"http://127.0.0.1:{port}"
        with nginx.running(site, f"{base}/bench", Path(directory)):
            yield {name: f"{base}/{name}" for name in answers}
