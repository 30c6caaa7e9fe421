"""A writer as a process: puts records and then acknowledges each, until it is killed or told to stop.

`python -m … JOURNAL_DIRECTORY ACKNOWLEDGED_FILE CALLS_PER_SECOND`. An id is on the second file only once `put` has
returned, as a client has an answer only then.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from analytics.record import RequestRecord
from analytics.recorder import Recorder

POISON = (None, "echo", "a\0b", "\ud800", "tab\there", "line\nbreak", "\\.", "\\N", "é" * 600, "x" * (1 << 20))
_running = True


def _stop(*_: object) -> None:
    global _running  # noqa: PLW0603
    _running = False


def main() -> None:
    """Write in bursts of ten; small files, so that many of them end while shippers and Postgres are killed."""
    signal.signal(signal.SIGTERM, _stop)
    recorder = Recorder(Path(sys.argv[1]), 1 << 30)
    recorder._journal._rotate_bytes = 100_000
    acknowledged = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    pause, number = 10 / float(sys.argv[3]), 0
    while _running:
        for _ in range(10):
            number += 1
            name = os.urandom(16).hex()
            # Each five-hundredth line is one that Postgres refuses: too large a number.
            size = 1 << 70 if number % 500 == 0 else number
            record = RequestRecord(id=name, at=time.time(), tool=POISON[number % len(POISON)], total_us=size)
            assert recorder.put(record)
            os.write(acknowledged, f"{name}\n".encode())
        time.sleep(pause)
    recorder.close()


if __name__ == "__main__":
    main()
