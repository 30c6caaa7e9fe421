"""A shipper as a process that starts fast, for tests that kill many: `python -m … JOURNAL_DIRECTORY DATABASE_URL`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import psycopg

from analytics.shipper import DirectoryLock, Shipper

if __name__ == "__main__":
    directory, url = Path(sys.argv[1]), sys.argv[2]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    DirectoryLock(directory).take()
    shipper = Shipper(directory, lambda: psycopg.connect(url, autocommit=True))
    sys.exit(0 if shipper.run(stop) else 1)
