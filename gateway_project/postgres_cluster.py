"""The files of the embedded PostgreSQL: making them, checking their version, and what a crash left in them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from gateway_project.postgres_binaries import Binaries, Identity, PostgresError, find, identity

ROLE = "gateway"
DATABASE = "gateway"
PORT = 5432  # names the socket's file; nothing listens on TCP
SOCKET = f".s.PGSQL.{PORT}"
_LEAVE_S = 30.0


def prepare(cluster: Path) -> tuple[Binaries, Identity]:
    """Return the programs and the identity for `cluster`, made now when it is missing.

    Raises PostgresError when it was made by a major version that is not at hand, or belongs to somebody else.
    """
    kept = _version_of(cluster)
    binaries = find(kept)
    if kept is None:
        who = identity(cluster)
        _create(cluster, binaries, who)
        return binaries, who
    if kept != binaries.major:
        raise PostgresError(
            f"{cluster} holds data of PostgreSQL {kept}; the programs here are PostgreSQL {binaries.major} "
            f"({binaries.directory}). A data directory cannot change its major version in place. Either set "
            f"POSTGRES_BIN to a directory with PostgreSQL {kept}, or carry the data over: with POSTGRES_BIN so set "
            f"run `manage.py backup FILE`, move {cluster.parent} away, unset POSTGRES_BIN, and run "
            "`manage.py restore FILE`."
        )
    return binaries, own(cluster)


def own(cluster: Path) -> Identity:
    """Return the identity for an existing cluster, whose files are handed to it where they must be."""
    who = identity(cluster)
    if who.owner is not None and cluster.stat().st_uid != who.owner:
        _give(cluster, who.owner)
    return who


def command(cluster: Path, sockets: Path, binaries: Binaries, who: Identity) -> list[str]:
    """Return the command line of the server."""
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets).replace("\\", "\\\\").replace(",", "\\,"),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "256MB",  # taken as it is used: what dashboards read of the roll-ups
        "timezone": "UTC",
        "log_timezone": "UTC",
        # A statement or a row may hold what nobody should read in a log.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_checkpoints": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [*who.prefix, binaries.path("postgres"), "-D", str(cluster), "-p", str(PORT), *options]


def environment() -> dict[str, str]:
    """Return the environment without the variables that would steer PostgreSQL elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def clear_remains(cluster: Path, sockets: Path) -> None:
    """Remove the pid files of a server that is gone; wait for one that is going. Call it with the keeper's lock.

    A pid file is never believed: its number may belong to a zombie or to another program by now, and PostgreSQL
    would refuse to start. What counts is whether a process works in the cluster's directory.

    Raises PostgresError when an old server does not go away.
    """
    deadline = time.monotonic() + _LEAVE_S
    polite = time.monotonic() + 5.0
    while remaining := _processes_in(cluster):
        now = time.monotonic()
        if now > deadline:
            raise PostgresError(f"An old PostgreSQL (pid {remaining[0]}) on {cluster} does not end; end it by hand.")
        for pid in remaining:
            _signal(pid, signal.SIGINT if now < polite else signal.SIGQUIT)
        time.sleep(0.05)
    for path in (cluster / "postmaster.pid", sockets / SOCKET, sockets / f"{SOCKET}.lock"):
        path.unlink(missing_ok=True)


def _version_of(cluster: Path) -> int | None:
    """Return the major version that made the cluster, None when there is no cluster."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        if cluster.exists() and any(cluster.iterdir()):
            raise PostgresError(
                f"{cluster} is not empty and has no PG_VERSION, so it is no PostgreSQL data directory. "
                "Move it away, or choose another GATEWAY_DATA_DIR."
            ) from None
        return None
    except PermissionError:
        raise PostgresError(f"{cluster} cannot be read by you; run as the user that owns it.") from None
    except ValueError:
        raise PostgresError(f"{cluster}/PG_VERSION is damaged; restore the data directory from a backup.") from None


def _create(cluster: Path, binaries: Binaries, who: Identity) -> None:
    """Run initdb beside the final place and rename, so that a half-made cluster is never taken for one."""
    draft = cluster.with_name(cluster.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if who.owner is not None:
        os.chown(draft, who.owner, who.owner)
    locale = (
        # The built-in provider sorts alike on every machine and needs no locale of the system.
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        if binaries.major >= 17
        else ["--locale=C.UTF-8"]
    )
    arguments = ["-D", str(draft), f"--username={ROLE}", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
    made = subprocess.run(
        [*who.prefix, binaries.path("initdb"), *arguments, *locale],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd="/",
    )
    if made.returncode != 0:
        raise PostgresError(f"initdb could not make {cluster}:\n{(made.stderr or made.stdout).strip()}")
    if cluster.exists():
        cluster.rmdir()
    draft.rename(cluster)


def _give(cluster: Path, owner: int) -> None:
    for directory, _, files in os.walk(cluster):
        os.chown(directory, owner, owner)
        for name in files:
            os.lchown(os.path.join(directory, name), owner, owner)


def _processes_in(cluster: Path) -> list[int]:
    """Return the ids of live processes whose working directory is the cluster's: PostgreSQL's own."""
    target = os.path.realpath(cluster)
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/cwd") == target and "postgres" in Path(f"/proc/{name}/comm").read_text():
                found.append(int(name))
        except OSError:  # it is gone, a zombie, or somebody else's
            continue
    return found


def _signal(pid: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)
