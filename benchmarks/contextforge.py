"""ContextForge as one upstream's gateway: how it is started, and what has to be registered before it serves calls.

Its rate limiter, plugins and access log are off; authentication stays on, and a virtual server publishes what the
namespace of this gateway does. SQLite holds its registry, one worker serves.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx

from benchmarks import loads

ADMIN = "admin@example.com"
# Names of tools get the name of their upstream before them.
UPSTREAM, PREFIX = "bench", "bench-"


def environment(directory: Path) -> dict[str, str]:
    """Return its settings; secrets are new each time, files are in `directory`."""
    password = f"Aa1!{secrets.token_urlsafe(18)}"
    return {
        "DATABASE_URL": f"sqlite:///{directory}/contextforge.db",
        "ENVIRONMENT": "development",
        "JWT_SECRET_KEY": secrets.token_urlsafe(48),
        "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48),
        "PLATFORM_ADMIN_EMAIL": ADMIN,
        "PLATFORM_ADMIN_PASSWORD": password,
        "BASIC_AUTH_PASSWORD": password,
        "CACHE_TYPE": "memory",
        "RATE_LIMITING_ENABLED": "false",
        "PLUGINS_ENABLED": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "LOG_LEVEL": "ERROR",
    }


def token(python: Path, env: Mapping[str, str], directory: Path) -> str:
    """Return a token for its administrator, made by its own command. Raises CalledProcessError."""
    command = [str(python), "-m", "mcpgateway.utils.create_jwt_token", "--username", ADMIN, "--exp", "600"]
    done = subprocess.run(command, env=dict(env), cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def publish(base: str, headers: Mapping[str, str], upstream: str) -> str:
    """Register the upstream and a virtual server with the tools that may be used; return the server's endpoint.

    Raises httpx.HTTPError when one of them is refused.
    """
    with httpx.Client(base_url=base, headers=dict(headers), timeout=60) as client:
        wanted = {"name": UPSTREAM, "url": upstream, "transport": "STREAMABLEHTTP", "visibility": "public"}
        client.post("/v1/gateways", json=wanted).raise_for_status()
        tools = client.get("/v1/tools", params={"limit": 0}).raise_for_status().json()
        opened = [tool["id"] for tool in tools if not _is_closed(tool["originalName"])]
        server = {"server": {"name": UPSTREAM, "associated_tools": opened}, "visibility": "public"}
        made = client.post("/v1/servers", json=server).raise_for_status().json()
    return f"{base}/servers/{made['id']}/mcp"


def _is_closed(name: str) -> bool:
    return name == "hang" or name.startswith(loads.CLOSED)
