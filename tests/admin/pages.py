"""What a browser would send: the forms of the admin's pages as dictionaries."""

from __future__ import annotations

from typing import Any


def inline(prefix: str, rows: list[dict[str, Any]], initial: int = 0, minimum: int = 0) -> dict[str, Any]:
    """Return the fields of an inline formset."""
    data: dict[str, Any] = {
        f"{prefix}-TOTAL_FORMS": len(rows),
        f"{prefix}-INITIAL_FORMS": initial,
        f"{prefix}-MIN_NUM_FORMS": minimum,
        f"{prefix}-MAX_NUM_FORMS": 1000,
    }
    for number, row in enumerate(rows):
        data |= {f"{prefix}-{number}-{field}": value for field, value in row.items()}
    return data


def upstream_form(credentials: list[dict[str, Any]] | None = None, initial: int = 0, **fields: Any) -> dict[str, Any]:
    """Return the form of an upstream."""
    data = {"slug": "files", "url": "http://127.0.0.1:47/mcp", "enabled": "on", "tags": "", "description": ""}
    data |= {"transport": "streamable-http", "era": "auto"}
    return data | inline("credentials", credentials or [], initial) | fields


def rules(prefix: str = "", **fields: Any) -> dict[str, Any]:
    """Return the nine rule fields, each on its own where a page would leave it."""
    data: dict[str, Any] = {}
    for part in ("tools", "prompts", "resources"):
        data |= {f"{part}_mode": "all", f"{part}_found": [""], f"{part}_listed": "", f"{part}_denied": ""}
    return {f"{prefix}{name}": value for name, value in (data | fields).items()}


def namespace_form(upstream_id: int | str, mount: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the form of a namespace that mounts an upstream; a new one leaves two modes to the gateway."""
    data = {"slug": "team", "description": "", "enabled": "on", "addresses_mode": "all", "addresses_listed": ""}
    row = {"upstream": upstream_id} | (mount or {})
    data |= rules() | {"prompts_mode": "", "resources_mode": ""}
    return data | inline("mount", [row], initial=1 if mount else 0, minimum=1) | fields


def grant(namespace_id: int | str, **fields: Any) -> dict[str, Any]:
    """Return a grant's row on the page of a key."""
    row = {"namespace": namespace_id, "requests_per_minute": "", "burst": ""}
    return row | rules() | {"prompts_mode": "", "resources_mode": ""} | fields


def key_form(grants: list[dict[str, Any]] | None = None, initial: int = 0, **fields: Any) -> dict[str, Any]:
    """Return the form of a key."""
    data = {"user_id": "bob@example.org", "description": "laptop", "expires_at_0": "", "expires_at_1": ""}
    data |= {"requests_per_minute": "", "burst": "", "team": "", "owner": "", "sees": "own"}
    data |= {"addresses_mode": "all", "addresses_listed": ""}
    return data | inline("grants", grants or [], initial) | fields
