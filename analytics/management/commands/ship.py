"""`manage.py ship`: bring the journal of this host into the request log."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from analytics import shipping
from analytics.shipper import DirectoryBusyError


class Command(BaseCommand):
    """Ships until SIGTERM or SIGINT, then ships what is left."""

    help = "Ship this host's journal files to the request log, each line exactly once. One process a host."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Ship what is there and exit.")

    def handle(self, *args: object, **options: object) -> None:
        once = bool(options["once"])
        try:
            complete = shipping.run(once=once)
        except DirectoryBusyError as error:
            raise CommandError(f"Nothing was shipped: {error}.") from None
        if once and not complete:
            raise CommandError("The journal could not be shipped as a whole; see the log above.")
