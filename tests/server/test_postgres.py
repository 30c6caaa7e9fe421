"""The embedded PostgreSQL: found, made, shared, and picked up again after every kind of crash."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway_project import file_lock, postgres, postgres_cluster
from gateway_project.postgres_binaries import PostgresError
from tests.databases import url_of_socket
from tests.gateway import ROOT, Gateway, wait_for

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
IS_ROOT = os.geteuid() == 0
PACKAGES = next(path for path in sys.path if path.endswith("site-packages"))
# Uses the server in the data directory argv[1], says so, and waits for a line on stdin.
USER = """
import sys
from pathlib import Path
from gateway_project import postgres
try:
    with postgres.running(Path(sys.argv[1])):
        print("ready", flush=True)
        sys.stdin.readline()
except postgres.PostgresError as error:
    print(error, flush=True)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that does not exist yet, in a directory that anybody may use."""
    parent = Path(tempfile.mkdtemp(prefix="pg-"))
    parent.chmod(0o777)
    yield parent / "data"
    shutil.rmtree(parent, ignore_errors=True)


def python_of_everybody() -> str:
    """Return our Python, or the system's of the same version where ours lies below a private home directory."""
    ours = os.path.realpath(sys.executable)
    if subprocess.run([*AS_NOBODY, "test", "-r", ours], check=False).returncode == 0:
        return sys.executable
    said = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True, check=False).stdout
    if not said.startswith(f"Python {sys.version_info[0]}.{sys.version_info[1]}."):
        pytest.skip(f"an ordinary user may not read {ours}, and the system has no Python of this version")
    return "/usr/bin/python3"


class User:
    """A process that uses the server of a data directory."""

    def __init__(self, data_dir: Path, as_nobody: bool = False, **env: str) -> None:
        command = [sys.executable]
        if as_nobody:
            command = [*AS_NOBODY, python_of_everybody()]
            env["PYTHONPATH"] = PACKAGES
        self.process = subprocess.Popen(
            [*command, "-c", USER, str(data_dir)],
            cwd=ROOT,
            env=os.environ | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()

    def leave(self) -> None:
        """Let it end in the ordinary way."""
        self.process.communicate("\n", timeout=30)

    def kill9(self) -> None:
        self.process.kill()
        self.process.communicate()


def query(data_dir: Path, statement: str) -> list[tuple[object, ...]]:
    url = url_of_socket(postgres.socket_directory(data_dir), "gateway")
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def keeper_of(data_dir: Path) -> int:
    return int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(postmaster(data_dir))]))


def is_stopped(data_dir: Path) -> bool:
    return not file_lock.is_held(data_dir / "run" / "postgres.keeper") and not postgres_cluster._processes_in(
        data_dir / "postgres"
    )


def test_it_is_made_used_and_stopped(data_dir: Path) -> None:
    user = User(data_dir)
    assert user.said == "ready"
    query(data_dir, "CREATE TABLE kept AS SELECT 'Grüße' AS word")
    assert query(data_dir, "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database LIMIT 1")[0][1] == "UTF8"
    assert query(data_dir, "SHOW listen_addresses") == [("",)]
    user.leave()
    assert is_stopped(data_dir)
    with postgres.running(data_dir):
        assert query(data_dir, "SELECT word FROM kept") == [("Grüße",)]
    assert is_stopped(data_dir)


def test_its_files_are_private(data_dir: Path) -> None:
    with postgres.running(data_dir):
        for path in (data_dir, data_dir / "run", data_dir / "postgres", postgres.socket_directory(data_dir)):
            assert path.stat().st_mode & 0o077 == 0, path
        parent = data_dir.parent.stat()
        assert (parent.st_mode & 0o7777, parent.st_uid) == (0o777, os.geteuid()), "a parent directory was changed"


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
def test_an_ordinary_user_can_run_it(data_dir: Path) -> None:
    user = User(data_dir, as_nobody=True)
    assert user.said == "ready"
    assert (data_dir / "postgres").stat().st_uid == 65534
    user.leave()
    assert is_stopped(data_dir)


@pytest.mark.skipif(not IS_ROOT, reason="root's own path")
def test_root_leaves_the_files_to_root(data_dir: Path) -> None:
    with postgres.running(data_dir):
        assert (data_dir / "postgres").stat().st_uid == 0
        assert Path(f"/proc/{postmaster(data_dir)}/uid_map").read_text().split()[0] == "65534"


@pytest.mark.skipif(not IS_ROOT, reason="root's own path")
def test_root_without_user_namespaces_becomes_nobody(data_dir: Path, tmp_path: Path) -> None:
    refusing = tmp_path / "unshare"  # as where a container's profile forbids user namespaces
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    data_dir.parent.chmod(0o700)  # and nobody may not even pass the directory above
    path = f"{tmp_path}:{os.environ['PATH']}"
    for _ in range(2):
        user = User(data_dir, PATH=path)
        assert user.said == "ready"
        assert Path(f"/proc/{postmaster(data_dir)}/status").read_text().count("65534") >= 4
        assert (data_dir / "postgres").stat().st_uid == 65534
        os.kill(keeper_of(data_dir), signal.SIGKILL)
        wait_for(lambda: not postgres_cluster._processes_in(data_dir / "postgres"), 5, "it outlived its keeper")
        user.kill9()
    again = User(data_dir)  # namespaces allowed again: the owner of the files decides
    assert again.said == "ready"
    again.leave()


@pytest.mark.skipif(not IS_ROOT, reason="only root may make somebody else's files")
def test_files_of_another_user_are_named(data_dir: Path) -> None:
    with postgres.running(data_dir):
        pass
    for path in (data_dir, data_dir / "run", *(data_dir / "run").iterdir()):
        path.chmod(0o777)
    said = User(data_dir, as_nobody=True).said
    assert "user id 0" in said or "cannot be read by you" in said


def test_it_ends_when_its_last_user_is_killed(data_dir: Path) -> None:
    user = User(data_dir)
    user.kill9()
    wait_for(lambda: is_stopped(data_dir), 5, "the server outlived its user")
    assert not (data_dir / "postgres" / "postmaster.pid").exists(), "it was not shut down cleanly"


def test_it_ends_when_its_keeper_is_killed_and_comes_back(data_dir: Path) -> None:
    with postgres.running(data_dir):
        query(data_dir, "CREATE TABLE kept AS SELECT 1 AS one")
        old = postmaster(data_dir)
        os.kill(keeper_of(data_dir), signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{old}").exists(), 5, "the server outlived its keeper")
        postgres.ensure(data_dir)
        assert query(data_dir, "SELECT one FROM kept") == [(1,)]


def test_a_killed_server_is_started_again_with_every_committed_row(data_dir: Path) -> None:
    with postgres.running(data_dir):
        query(data_dir, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
        old = postmaster(data_dir)
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{old}").exists(), 5)
        postgres.ensure(data_dir)
        assert query(data_dir, "SELECT count(*) FROM kept") == [(1000,)]


def test_everything_killed_at_once_is_picked_up(data_dir: Path) -> None:
    user = User(data_dir)
    query(data_dir, "CREATE TABLE kept AS SELECT 1 AS one")
    server, keeper = postmaster(data_dir), keeper_of(data_dir)
    for pid in (keeper, server, user.process.pid):
        os.kill(pid, signal.SIGKILL)
    user.process.communicate()
    assert (data_dir / "postgres" / "postmaster.pid").exists()
    with postgres.running(data_dir):
        assert query(data_dir, "SELECT one FROM kept") == [(1,)]


@pytest.mark.parametrize("whose", ["a living process", "a zombie", "nobody's", "garbage"])
def test_a_stale_pid_file_is_not_believed(data_dir: Path, whose: str) -> None:
    with postgres.running(data_dir):
        query(data_dir, "CREATE TABLE kept AS SELECT 1 AS one")
        content = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
        lock = (postgres.socket_directory(data_dir) / f"{postgres_cluster.SOCKET}.lock").read_text().splitlines()
    other = subprocess.Popen(["sleep", "60"])
    try:
        if whose == "a zombie":
            other.kill()
            wait_for(lambda: Path(f"/proc/{other.pid}/stat").read_text().split()[2] == "Z", 5)
        pid = {"nobody's": "4194303", "garbage": "what?"}.get(whose, str(other.pid))
        (data_dir / "postgres" / "postmaster.pid").write_text("\n".join([pid, *content[1:]]) + "\n")
        (postgres.socket_directory(data_dir) / f"{postgres_cluster.SOCKET}.lock").write_text(
            "\n".join([pid, *lock[1:]]) + "\n"
        )
        with postgres.running(data_dir):
            assert query(data_dir, "SELECT one FROM kept") == [(1,)]
    finally:
        other.kill()
        other.wait()


def test_two_users_share_one_server_and_neither_stops_it_under_the_other(data_dir: Path) -> None:
    first = User(data_dir)
    server = postmaster(data_dir)
    second = User(data_dir)
    assert postmaster(data_dir) == server
    first.leave()
    assert query(data_dir, "SELECT 1") == [(1,)]
    third = User(data_dir)
    second.kill9()
    assert query(data_dir, "SELECT 1") == [(1,)]
    third.leave()
    assert is_stopped(data_dir)


def test_users_that_start_at_once_do_not_fight(data_dir: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["ready"] * 5
    wait_for(lambda: is_stopped(data_dir), 5)


def test_data_of_another_major_version_is_named_with_what_to_do(data_dir: Path) -> None:
    with postgres.running(data_dir):
        version = query(data_dir, "SHOW server_version")[0][0]
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresError) as raised, postgres.running(data_dir):
        pass
    message = str(raised.value)
    assert "PostgreSQL 12" in message
    assert f"PostgreSQL {str(version).split('.')[0]}" in message
    assert "manage.py backup" in message
    assert "manage.py restore" in message


def test_a_directory_that_is_no_cluster_is_left_alone(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "letter.txt").write_text("mine")
    with pytest.raises(PostgresError, match="is not empty"), postgres.running(data_dir):
        pass
    assert (data_dir / "postgres" / "letter.txt").read_text() == "mine"


def test_a_half_made_cluster_is_made_again(data_dir: Path) -> None:
    (data_dir / "postgres.new" / "base").mkdir(parents=True)
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18\n")
    with postgres.running(data_dir):
        assert query(data_dir, "SELECT 1") == [(1,)]
    assert not (data_dir / "postgres.new").exists()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres.running(data_dir):
        pass
    monkeypatch.setattr(postgres, "_PATIENCE_S", 1.0)
    with (data_dir / "postgres" / "postgresql.conf").open("a") as stream:
        stream.write("\nwal_buffers = 'plenty'\n")
    with pytest.raises(PostgresError, match="wal_buffers"), postgres.running(data_dir):
        pass


def test_a_long_data_directory_gets_a_short_socket(data_dir: Path) -> None:
    deep = data_dir / ("d" * 60) / ("e" * 60)
    sockets = postgres.socket_directory(deep)
    assert len(str(sockets / postgres_cluster.SOCKET)) < 108
    assert sockets == postgres.socket_directory(deep)
    assert sockets != postgres.socket_directory(deep.with_name("f"))
    deep.parent.mkdir(parents=True)
    with postgres.running(deep):
        assert query(deep, "SELECT 1") == [(1,)]
        assert sockets.stat().st_mode & 0o077 == 0
    shutil.rmtree(sockets)


def test_a_socket_directory_laid_by_somebody_else_is_refused(data_dir: Path, tmp_path: Path) -> None:
    with postgres.running(data_dir):
        pass
    sockets = postgres.socket_directory(data_dir)
    shutil.rmtree(sockets)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    sockets.symlink_to(elsewhere)
    with pytest.raises(PostgresError, match="0700"), postgres.running(data_dir):
        pass


def test_a_command_on_a_new_data_directory_finds_its_tables(data_dir: Path) -> None:
    gateway = Gateway(data_dir=data_dir)
    assert gateway.create_key("--user", "early").startswith("mcpgw_")
    assert is_stopped(data_dir)
