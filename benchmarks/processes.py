"""What processes cost: CPU time from /proc, by one process or by a whole tree; and children that are ended surely."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int, with_ended_children: bool = False) -> float:
    """Return the user and system time of a process so far, in seconds (proc(5): /proc/PID/stat, fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[11 : 15 if with_ended_children else 13])
    return ticks * _TICK_S


def tree_cpu_s(root: int) -> float:
    """Return the CPU time of a process and all its descendants, ended children included, in seconds."""
    total = 0.0
    for pid in [root, *descendants(root)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += cpu_s(pid, with_ended_children=True)
    return total


def descendants(root: int) -> list[int]:
    """Return the process ids of everything that `root` started, directly or not, and that still runs."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found, pending = [], [root]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


@contextlib.contextmanager
def running(
    command: Sequence[str],
    ready_url: str,
    env: Mapping[str, str] | None = None,
    *,
    within_s: float = 10,
    directory: Path | None = None,
) -> Iterator[int]:
    """Run a command, wait until `ready_url` answers anything at all, and yield its process id.

    Args: env: all its variables, None: ours; within_s: seconds until it must answer; directory: where it runs and
    writes into the file `output`, None: here and to our own.
    Raises RuntimeError when it does not answer in time.
    """
    with contextlib.ExitStack() as stack:
        output = stack.enter_context((directory / "output").open("wb")) if directory else None
        child = subprocess.Popen(command, env=env, cwd=directory, stdout=output, stderr=output)
    try:
        _wait_for(ready_url, child, within_s)
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_for(url: str, child: subprocess.Popen[bytes], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and child.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{child.args!r} does not answer at {url}")
