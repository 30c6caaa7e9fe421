"""FastMCP as a proxy, as its documentation has it: `python fastmcp_proxy.py UPSTREAM_URL PORT`.

Run by an environment of its own (see `peers.py`), which has nothing of this project in it. Sessions and event streams
are off, which is the fastest that it offers for plain calls.
"""

from __future__ import annotations

import sys

from fastmcp.server import create_proxy


def main() -> None:
    """Serve until SIGTERM."""
    upstream, port = sys.argv[1:]
    create_proxy(upstream, name="bench").run(
        transport="http",
        host="127.0.0.1",
        port=int(port),
        path="/mcp",
        stateless_http=True,
        json_response=True,
        log_level="error",
        show_banner=False,
    )


if __name__ == "__main__":
    main()
