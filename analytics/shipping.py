"""The shipper as a process: takes the journal's directory, ships until it is told to stop, then ships what is left.

`manage.py ship` runs it for an operator, gateway_project/server/shipper.py for `serve`. No model is needed here.
"""

from __future__ import annotations

import logging
import signal
import threading
from functools import partial

from django.conf import settings

from analytics.database import connect, direct_parameters
from analytics.live_announcer import Announcer
from analytics.shipper import DirectoryBusyError, DirectoryLock, Shipper

logger = logging.getLogger(__name__)
# How often a waiting shipper tries to take the directory over.
_RETRY_S = 0.2


def run(*, once: bool = False) -> bool:
    """Ship until SIGTERM or SIGINT; with `once`, what is there. Return whether nothing was left behind.

    Raises DirectoryBusyError with `once` where another shipper has the directory; otherwise its end is waited for.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # `serve` starts us with SIGTERM held back: a stop while this code was loading must not lose the shipping.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    lock = DirectoryLock(settings.JOURNAL_DIR)
    if not _take(lock, stop, waits=not once):
        return True
    if once:
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
    return complete


def _take(lock: DirectoryLock, stop: threading.Event, waits: bool) -> bool:
    """Take the directory's lock, waiting for a shipper that has it; return False when stopped meanwhile."""
    said = False
    while True:  # once at least: a stop that came early still ships what is there
        try:
            lock.take()
        except DirectoryBusyError as error:
            if not waits:
                raise
            if stop.is_set():
                return False
            if not said:
                logger.warning("waiting: %s", error)
            said = True
            stop.wait(_RETRY_S)
        else:
            return True
