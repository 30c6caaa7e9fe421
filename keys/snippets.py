"""Ready configuration for the clients that people use, with a key in it. Pure text; nothing is stored."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A namespace that a key reaches: its name and the URL that clients call."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Snippet:
    """What to paste for one client, and where."""

    slug: str
    client: str
    where: str
    text: str


def snippets(key: str, endpoints: Sequence[Endpoint]) -> list[Snippet]:
    """Return the snippets for a key (plaintext) and the namespaces that it reaches, at least one."""
    bearer = f"Bearer {key}"
    return [
        Snippet("claude-code", "Claude Code", "Run in a terminal:", _claude_code(bearer, endpoints)),
        Snippet(
            "claude-desktop",
            "Claude Desktop",
            "Put into claude_desktop_config.json (Settings → Developer → Edit Config; needs Node.js), then restart:",
            _document("mcpServers", {end.name: _mcp_remote(bearer, end) for end in endpoints}),
        ),
        Snippet(
            "cursor",
            "Cursor",
            "Put into ~/.cursor/mcp.json, or .cursor/mcp.json in a project:",
            _document("mcpServers", {end.name: {"url": end.url, "headers": _headers(bearer)} for end in endpoints}),
        ),
        Snippet(
            "vs-code",
            "VS Code",
            "Put into .vscode/mcp.json, or run “MCP: Open User Configuration”:",
            _document(
                "servers",
                {end.name: {"type": "http", "url": end.url, "headers": _headers(bearer)} for end in endpoints},
            ),
        ),
        Snippet("curl", "curl", "Lists the tools that the key may use:", _curl(bearer, endpoints[0])),
    ]


def _headers(bearer: str) -> dict[str, str]:
    return {"Authorization": bearer}


def _document(member: str, servers: dict[str, Any]) -> str:
    return json.dumps({member: servers}, indent=2)


def _claude_code(bearer: str, endpoints: Sequence[Endpoint]) -> str:
    header = shlex.quote(f"Authorization: {bearer}").replace("'", '"')
    return "\n".join(
        f"claude mcp add --transport http {shlex.quote(end.name)} {shlex.quote(end.url)} --header {header}"
        for end in endpoints
    )


def _mcp_remote(bearer: str, end: Endpoint) -> dict[str, Any]:
    """Return the entry that bridges stdio to HTTP.

    The header comes from a variable and has no blank after its colon: Claude Desktop on Windows splits arguments at
    blanks. Plain HTTP to another machine has to be allowed by name.
    """
    parts = urlsplit(end.url)
    args = ["-y", "mcp-remote", end.url, "--transport", "http-only", "--header", "Authorization:${AUTH_HEADER}"]
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1"):
        args.append("--allow-http")
    return {"command": "npx", "args": args, "env": {"AUTH_HEADER": bearer}}


def _curl(bearer: str, end: Endpoint) -> str:
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    return (
        f'curl {shlex.quote(end.url)} \\\n  -H "Authorization: {bearer}" \\\n'
        f'  -H "Content-Type: application/json" \\\n  -d {shlex.quote(call)}'
    )
