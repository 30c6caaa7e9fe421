"""`import_config FILE`: bring the database to what a configuration file says."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.importing import import_file


class Command(BaseCommand):
    """Import a YAML or JSON file: everything or nothing."""

    help = "Import upstreams, namespaces, rules, API keys and limits from a YAML or JSON file: all of it or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the configuration file")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and write nothing")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="also remove what the file leaves out, of the kinds (upstreams, namespaces, keys) that it speaks of",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            result = import_file(options["file"], dry_run=options["dry_run"], prune=options["prune"])
        except ConfigurationError as error:
            raise CommandError(str(error)) from None
        for warning in result.warnings:
            self.stderr.write(self.style.WARNING(f"warning: {warning}"))
        self.stdout.write(str(result))
