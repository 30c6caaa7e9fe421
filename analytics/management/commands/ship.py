"""`manage.py ship`: bring the journal of this host into the request log."""

from __future__ import annotations

import logging
import signal
import threading
from argparse import ArgumentParser
from functools import partial

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics.database import connect, direct_parameters
from analytics.live_announcer import Announcer
from analytics.shipper import DirectoryBusyError, DirectoryLock, Shipper

logger = logging.getLogger(__name__)
# How often a waiting shipper tries to take the directory over.
_RETRY_S = 0.2


class Command(BaseCommand):
    """Ships until SIGTERM or SIGINT, then ships what is left."""

    help = "Ship this host's journal files to the request log, each line exactly once. One process a host."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Ship what is there and exit.")

    def handle(self, *args: object, **options: object) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        # `serve` starts us with SIGTERM held back: a stop while this code was loading must not lose the shipping.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        lock = DirectoryLock(settings.JOURNAL_DIR)
        if not self._take(lock, stop, waits=not options["once"]):
            return
        if options["once"]:
            stop.set()
        announcer = Announcer(partial(connect, "gateway announcer", direct_parameters()))
        shipper = Shipper(
            settings.JOURNAL_DIR,
            partial(connect, "gateway shipper", direct_parameters()),
            settings.LOG_RETENTION_DAYS,
            announce=announcer.put,
        )
        announcer.start()
        complete = shipper.run(stop)
        announcer.stop()
        shipper.close()
        lock.release()
        if options["once"] and not complete:
            raise CommandError("The journal could not be shipped as a whole; see the log above.")

    @staticmethod
    def _take(lock: DirectoryLock, stop: threading.Event, waits: bool) -> bool:
        """Take the directory's lock, waiting for a shipper that has it; return False when stopped meanwhile."""
        said = False
        while True:  # once at least: a stop that came early still ships what is there
            try:
                lock.take()
            except DirectoryBusyError as error:
                if not waits:
                    raise CommandError(f"Nothing was shipped: {error}.") from None
                if stop.is_set():
                    return False
                if not said:
                    logger.warning("waiting: %s", error)
                said = True
                stop.wait(_RETRY_S)
            else:
                return True
