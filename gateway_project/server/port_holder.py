"""Who listens on a TCP port, from /proc: for the message that says why the gateway cannot have it."""

from __future__ import annotations

import os
from pathlib import Path

_LISTEN = "0A"  # the state column of /proc/net/tcp


def holders(port: int) -> list[tuple[int, str]]:
    """Return (process id, command line) of every process that listens on `port` and that we may look at."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening_inodes(Path("/proc/net") / table, port)}
    if not inodes:
        return []
    targets = {f"socket:[{inode}]" for inode in inodes}
    return [(pid, _command(pid)) for pid in _process_ids() if _has_open(pid, targets)]


def describe(port: int) -> str:
    """Return a clause that names the holders of `port`, for people."""
    found = holders(port)
    if not found:
        return "a process that this user may not look at"
    return "; ".join(f"process {pid} ({command})" for pid, command in found[:3])


def _listening_inodes(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port]


def _process_ids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) if os.path.isdir("/proc") else []


def _has_open(pid: int, targets: set[str]) -> bool:
    try:
        return any(os.readlink(entry.path) in targets for entry in os.scandir(f"/proc/{pid}/fd"))
    except OSError:  # it is gone, or somebody else's
        return False


def _command(pid: int) -> str:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "command unknown"
    text = b" ".join(arguments).decode(errors="replace")
    return text if len(text) <= 100 else text[:97] + "..."
