"""How a Unix socket is addressed whose path is longer than the 107 bytes that an address holds (unix(7))."""

from __future__ import annotations


def short_path(directory: int, name: str) -> str:
    """Return the path of the socket `name` by its directory's descriptor, which must stay open meanwhile."""
    return f"/proc/self/fd/{directory}/{name}"
