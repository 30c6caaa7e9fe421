"""`backup FILE`: the database and the three secrets, in one private file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.database import direct_parameters
from gateway_project import backup
from gateway_project.postgres_binaries import PostgresError


class Command(BaseCommand):
    """Write a backup."""

    help = (
        "Write the whole database and the three secrets to FILE (mode 0600). The gateway may go on running. "
        "Whoever has the file can read every upstream credential: keep it like one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--without-log", action="store_true", help="leave out the rows of the request log")

    def handle(self, *_: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            size = backup.write(
                path, direct_parameters(), backup.current_secrets(), with_log=not options["without_log"]
            )
        except (backup.BackupError, PostgresError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Wrote {path} ({size:,} bytes). Take it back with: manage.py restore {path}")
