"""The embedded PostgreSQL as the rest sees it: where its socket is, and `running`, which lends a running server.

Everybody who needs the server holds a shared lock for as long; a keeper process (postgres_keeper) runs the server
until the last lock is gone. So commands, `serve` and tests share one server and none stops it under another.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway_project import file_lock, postgres_cluster, postgres_keeper
from gateway_project.postgres_binaries import PostgresError

_SOCKET_PATH_BYTES = 107  # sun_path holds 108 with its final NUL
_PATIENCE_S = 30.0
_LEAVING_S = 40.0  # its last checkpoint may have much to write
_CODE = Path(__file__).resolve().parent.parent
_WITHOUT_DATABASE = frozenset(
    "serve restore help version check collectstatic compilemessages diffsettings makemessages".split()
)
# These look after the tables themselves; every other command finds them made in a new database.
_WITHOUT_TABLES = frozenset("migrate makemigrations showmigrations sqlmigrate dbshell flush test create_admin".split())
_keepers: list[subprocess.Popen[bytes]] = []

Say = Callable[[str], None]


def socket_directory(data_dir: Path) -> Path:
    """Return the directory of the server's socket; nothing is touched.

    It lies in the data directory. A path too long for a socket gets a private directory instead, named by a hash.
    It does not depend on the environment, so that a command run by cron finds the server of a login shell.
    """
    inside = data_dir / "run" / "postgres"
    if len(os.fsencode(inside / postgres_cluster.SOCKET)) <= _SOCKET_PATH_BYTES:
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path("/tmp") / f"mcp-gateway-{os.geteuid()}" / digest  # noqa: S108 - checked by _make_private


@contextmanager
def running(data_dir: Path, say: Say | None = None) -> Iterator[None]:
    """Have the server running for the length of a `with` block: the one that runs already, or one started now.

    `say` is told in a sentence what takes time. Raises PostgresError with the reason and the next step.
    """
    run = data_dir / "run"
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    run.mkdir(mode=0o700, exist_ok=True)
    lock = file_lock.take(run / postgres_keeper.USERS_LOCK, shared=True)
    try:
        ensure(data_dir, say)
        yield
    finally:
        os.close(lock)
        _wait_until_stopped(run)


def ensure(data_dir: Path, say: Say | None = None) -> None:
    """Return when the server answers, started if need be; call it inside `running` only.

    Raises PostgresError when it cannot be started, with the end of its log.
    """
    sockets = socket_directory(data_dir)
    keeper: subprocess.Popen[bytes] | None = None
    patience = time.monotonic() + _PATIENCE_S
    with file_lock.held(data_dir / "run" / "postgres.start"):
        while (trouble := _connect(sockets)) is not None:
            if not is_kept(data_dir):
                if keeper is not None and keeper.poll() not in (None, postgres_keeper.ALREADY_KEPT):
                    raise PostgresError(f"PostgreSQL does not start.\n{_log_end(data_dir)}")
                if keeper is None or keeper.returncode is not None:
                    keeper = _start_keeper(data_dir, sockets, say)
            if "starting up" in trouble or "in recovery" in trouble:  # after a crash this may take its time
                patience = time.monotonic() + _PATIENCE_S
            if time.monotonic() > patience:
                raise PostgresError(f"PostgreSQL does not answer: {trouble}\n{_log_end(data_dir)}")
            time.sleep(0.02)


def is_kept(data_dir: Path) -> bool:
    """Return whether a keeper process looks after the server of this data directory."""
    for keeper in list(_keepers):
        if keeper.poll() is not None:  # reaped here, so that it does not stay as a zombie
            _keepers.remove(keeper)
    return file_lock.is_held(data_dir / "run" / postgres_keeper.KEEPER_LOCK)


@contextmanager
def for_command(argv: list[str]) -> Iterator[None]:
    """Have the server running while the management command `argv` runs, if it needs one."""
    name = argv[1] if len(argv) > 1 else "help"
    if name in _WITHOUT_DATABASE or name.startswith("-") or {"-h", "--help"} & set(argv):
        yield
        return
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        embedded, data_dir = settings.EMBEDDED_DATABASE, settings.DATA_DIR
    except ImproperlyConfigured as error:
        sys.exit(f"manage.py {name}: {error}")
    if not embedded:
        yield
        return
    is_new = not (data_dir / "postgres").exists()
    with _or_exit(f"manage.py {name}"), running(data_dir):
        if is_new and name not in _WITHOUT_TABLES:
            _make_tables()
        yield


def _make_tables() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


@contextmanager
def _or_exit(who: str) -> Iterator[None]:
    try:
        yield
    except PostgresError as error:
        sys.exit(f"{who}: {error}")


def _start_keeper(data_dir: Path, sockets: Path, say: Say | None) -> subprocess.Popen[bytes]:
    cluster = data_dir / "postgres"
    if say is not None:
        say("starting PostgreSQL" if cluster.exists() else "making the database")
    postgres_cluster.prepare(cluster)
    _make_private(sockets)
    log_dir = data_dir / "log"
    log_dir.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(log_dir / postgres_keeper.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "gateway_project.postgres_keeper", str(data_dir), str(sockets)],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=_CODE,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    _keepers.append(keeper)
    return keeper


def _make_private(directory: Path) -> None:
    """Make the socket's directory, ours alone; refuse one that somebody else has laid there."""
    shared_parent = directory.parent.name.startswith("mcp-gateway-")
    for path in (directory.parent, directory) if shared_parent else (directory,):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PostgresError(f"{path} must be a directory of yours with mode 0700; remove it and start again.")


def _connect(sockets: Path) -> str | None:
    """Connect once and see to it that our database exists; return the reason when that fails."""
    import psycopg

    if not (sockets / postgres_cluster.SOCKET).exists():
        return f"there is no socket in {sockets}"
    try:
        with psycopg.connect(
            host=str(sockets),
            port=postgres_cluster.PORT,
            user=postgres_cluster.ROLE,
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        ) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [postgres_cluster.DATABASE])
            if known.fetchone() is None:
                connection.execute(f"CREATE DATABASE {postgres_cluster.DATABASE}")
    except psycopg.OperationalError as error:
        return str(error)
    return None


def _log_end(data_dir: Path) -> str:
    path = data_dir / "log" / postgres_keeper.LOG
    try:
        lines = path.read_text(errors="replace").splitlines()[-8:]
    except OSError:
        return f"Its log would be {path}."
    return "\n".join([f"The end of {path}:", *(f"  {line}" for line in lines)])


def _wait_until_stopped(run: Path) -> None:
    """Wait for the server's end when we were its last user, so that the directory may be removed after us."""
    users = run / postgres_keeper.USERS_LOCK
    deadline = time.monotonic() + _LEAVING_S
    while file_lock.is_held(run / postgres_keeper.KEEPER_LOCK) and time.monotonic() < deadline:
        if not file_lock.is_held(users):  # the keeper does not have it yet
            alone = file_lock.try_take(users)
            if alone is None:
                return  # somebody else uses the server
            os.close(alone)
        time.sleep(0.01)
