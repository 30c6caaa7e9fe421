"""`restore FILE`: take a backup back into an empty data directory, or an empty database."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.database import connect, direct_parameters
from gateway_project import backup, postgres
from gateway_project.postgres_binaries import PostgresError


class Command(BaseCommand):
    """Take a backup back."""

    help = "Take FILE back into an empty data directory (or, with DATABASE_URL, an empty database). All or nothing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *_: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            secrets = backup.read_secrets(path)
            if settings.EMBEDDED_DATABASE:
                self._into_data_directory(path, secrets)
            else:
                self._into_database(path)
        except (backup.BackupError, PostgresError) as error:
            raise CommandError(str(error)) from None
        self._compare_secrets(path, secrets)
        self.stdout.write(f"Restored {path}. Start the gateway with: manage.py serve")

    def _into_data_directory(self, path: Path, secrets: dict[str, str]) -> None:
        cluster = settings.DATA_DIR / "postgres"
        if cluster.exists():
            raise CommandError(
                f"{settings.DATA_DIR} holds a database already. Move it away, or name an empty GATEWAY_DATA_DIR."
            )
        try:
            with postgres.running(settings.DATA_DIR, self.stderr.write):
                backup.load(path, direct_parameters())
        except BaseException:
            shutil.rmtree(cluster, ignore_errors=True)  # an empty database would be in the way of the next try
            raise
        _write_secrets(settings.DATA_DIR / "secrets", secrets)

    def _into_database(self, path: Path) -> None:
        try:
            with connect("gateway restore") as connection:
                found = connection.execute(
                    "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = "
                    "current_schema()::regnamespace"
                ).fetchone()
        except psycopg.OperationalError as error:
            raise CommandError(f"The database of DATABASE_URL does not answer: {str(error).strip()}") from None
        if found and found[0]:
            raise CommandError("The database of DATABASE_URL holds tables already; name an empty one.")
        backup.load(path, direct_parameters())

    def _compare_secrets(self, path: Path, kept: dict[str, str]) -> None:
        """Say which variable must be set, where the environment (and not the data directory) holds the secrets."""
        for name, value in backup.current_secrets().items():
            variable = f"GATEWAY_{name.upper()}"
            given = not settings.EMBEDDED_DATABASE or {variable, f"{variable}_FILE"} & set(os.environ)
            if given and value != kept[name]:
                self.stderr.write(
                    f"{variable} differs from the backup's. Set it to that value, or what it protects is lost: "
                    f"tar -xOf {path} secrets/{name}"
                )


def _write_secrets(directory: Path, secrets: dict[str, str]) -> None:
    """Put the backup's secrets in the place of those that this very command was started with."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in secrets.items():
        draft = directory / f".{name}.new"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(value + "\n")
        draft.replace(directory / name)
