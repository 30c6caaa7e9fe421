"""The MCP server behind every way that is measured: `python -m benchmarks.upstream --port 0`.

It says everything itself. nginx in front of it answers the calls that are one JSON document with the same bytes, so
that the upstream's own time is small beside what is measured.
"""

from __future__ import annotations

import argparse

from benchmarks import loads
from tests.upstreams.echo_fast import EchoFast
from tests.upstreams.listening import serve_asgi

# A standing stream says one thing at its begin and is silent then.
SILENT_S = 3600.0


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    app = EchoFast(standing=SILENT_S, tools=loads.tools(), texts=loads.TEXTS)
    serve_asgi(app, parser.parse_args().port, "/mcp", http="httptools", loop="uvloop", lifespan="off")


if __name__ == "__main__":
    main()
