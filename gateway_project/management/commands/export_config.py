"""`export_config [FILE]`: write the configuration as a file that `import_config` takes back."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway_project.configuration.exporting import Exporter, write_private


class Command(BaseCommand):
    """Export the configuration."""

    help = "Write upstreams, namespaces, rules, keys (digests only) and grants as YAML that import_config takes back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="where to write it (mode 0600); standard output when left out")
        parser.add_argument(
            "--with-secrets",
            action="store_true",
            help="put in upstream credentials, sealed with GATEWAY_ENCRYPTION_KEYS, instead of ${VARIABLE} references",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        exporter = Exporter(options["with_secrets"])
        text = exporter.text()
        for note in exporter.notes:
            self.stderr.write(f"note: {note}")
        if not options["file"]:
            self.stdout.write(text, ending="")
            return
        try:
            write_private(options["file"], text)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be written: {error.strerror}.") from None
        self.stderr.write(f"Written to {options['file']}.")
