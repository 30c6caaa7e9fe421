"""Backups: the whole database and the three secrets in one private tar file, and back.

The database travels as plain SQL, so that it also goes from one major version of PostgreSQL to another.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from gateway_project.postgres_binaries import find

FORMAT = 1
SECRETS = ("secret_key", "encryption_keys", "key_pepper")
_DUMP, _MANIFEST = "database.sql.gz", "manifest.json"
_LOG_TABLES = "analytics_requestlog*"
_HEAD_LINES = 60
# Newer programs write settings that an older server does not know.
_UNKNOWN_TO_SOME = (b"SET transaction_timeout",)
_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


class BackupError(Exception):
    """A backup cannot be made or taken back; the message says why and what to do."""


def current_secrets() -> dict[str, str]:
    """Return the secrets that are in force, as text for a file or a variable."""
    from django.conf import settings

    keys, peppers = ",".join(settings.ENCRYPTION_KEYS), ",".join(settings.KEY_PEPPERS)
    return dict(zip(SECRETS, (settings.SECRET_KEY, keys, peppers), strict=True))


def write(path: Path, connection: Mapping[str, Any], secrets: Mapping[str, str], *, with_log: bool = True) -> int:
    """Write a backup to `path` (mode 0600) and return its size in bytes.

    Args:
        connection: libpq's parameters of the database.
        secrets: the values of SECRETS.
        with_log: whether the rows of the request log go in too.
    Raises BackupError; an existing file is never overwritten.
    """
    if path.exists():
        raise BackupError(f"{path} exists already; choose another name or remove it.")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            os.fdopen(descriptor, "wb") as stream,
            tempfile.TemporaryFile(dir=path.parent) as dump,
            tarfile.open(fileobj=stream, mode="w") as archive,
        ):
            version = _dump(dump, connection, with_log)
            about = {"format": FORMAT, "created_at": datetime.now(UTC).isoformat(), "postgres": version}
            _add(archive, _MANIFEST, io.BytesIO(json.dumps(about | {"request_log": with_log}).encode()))
            for name in SECRETS:
                _add(archive, f"secrets/{name}", io.BytesIO(secrets[name].encode()))
            _add(archive, _DUMP, dump)
        os.link(draft, path)  # unlike a rename it does not overwrite
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}.") from None
    finally:
        draft.unlink(missing_ok=True)
    return path.stat().st_size


def read_secrets(path: Path) -> dict[str, str]:
    """Return the secrets of a backup. Raises BackupError when the file is none of ours or is damaged."""
    with _opened(path) as archive:
        about = json.loads(_member(archive, _MANIFEST, path).read())
        if about.get("format") != FORMAT:
            raise BackupError(f"{path} was written by another version of the gateway (format {about.get('format')}).")
        _member(archive, _DUMP, path)
        return {name: _member(archive, f"secrets/{name}", path).read().decode() for name in SECRETS}


def load(path: Path, connection: Mapping[str, Any]) -> None:
    """Run a backup's SQL on an empty database: all of it or, on any error, nothing. Raises BackupError."""
    binaries = find()
    command = [binaries.path("psql"), "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    with _opened(path) as archive, tempfile.TemporaryFile() as errors:
        with gzip.open(_member(archive, _DUMP, path)) as dump:
            psql = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, env=_environment(connection)
            )
            assert psql.stdin is not None  # noqa: S101
            try:
                shutil.copyfileobj(dump, psql.stdin, 1 << 20)
                psql.stdin.close()
            except BrokenPipeError:  # psql has given up; its reason is in its output
                pass
            except (EOFError, OSError) as error:
                psql.kill()
                raise BackupError(f"{path} is damaged: {error}.") from None
            finally:
                code = psql.wait()
        if code != 0:
            errors.seek(0)
            raise BackupError(f"The database refused the backup:\n{errors.read().decode(errors='replace').strip()}")


def _dump(target: IO[bytes], connection: Mapping[str, Any], with_log: bool) -> str:
    """Write the database as compressed SQL to `target`, rewound; return the version of the program used."""
    binaries = find()
    command = [binaries.path("pg_dump"), "--no-owner", "--no-privileges", "--encoding=UTF8"]
    if not with_log:
        command.append(f"--exclude-table-data={_LOG_TABLES}")
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=_environment(connection))
        assert process.stdout is not None  # noqa: S101
        with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=3) as packed:
            for _ in range(_HEAD_LINES):
                line = process.stdout.readline()
                if not line.startswith(_UNKNOWN_TO_SOME):
                    packed.write(line)
            shutil.copyfileobj(process.stdout, packed, 1 << 20)
        if process.wait() != 0:
            errors.seek(0)
            raise BackupError(f"pg_dump failed:\n{errors.read().decode(errors='replace').strip()}")
    target.seek(0)
    return str(binaries.major)


def _environment(connection: Mapping[str, Any]) -> dict[str, str]:
    """Return libpq's environment: unlike a command line it is not shown to other users of the machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {variable: str(connection[name]) for name, variable in _ENVIRONMENT.items() if connection.get(name)}


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o600
    member.size = content.seek(0, io.SEEK_END)
    content.seek(0)
    archive.addfile(member, content)


def _opened(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, mode="r:")
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{path} is no backup that can be read: {error}.") from None


def _member(archive: tarfile.TarFile, name: str, path: Path) -> IO[bytes]:
    try:
        found = archive.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise BackupError(f"{path} is no backup of a gateway: it has no {name}.")
    return found
