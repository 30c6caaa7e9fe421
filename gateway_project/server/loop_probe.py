"""How late the event loop is, for the fault tests: off unless GATEWAY_LOOP_PROBE names a directory.

A timer of 10 ms counts, in a file that anybody may map, how many milliseconds late it was each time, and how many
milliseconds of its lateness the loop's own thread was at work: the rest was other processes' turn on the processor.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from pathlib import Path

DIRECTORY = "GATEWAY_LOOP_PROBE"
INTERVAL_S = 0.01
BINS = 2048  # milliseconds late, the last one and more
NUMBERS = 2 * BINS + 1
_NUMBER = struct.Struct("I")


async def run(directory: str) -> None:
    """Count until cancelled: lateness, then lateness at work, BINS numbers each, then how many tasks there are."""
    with _table(Path(directory, f"loop-{os.getpid()}")) as table:
        while True:
            due, worked = time.monotonic() + INTERVAL_S, time.thread_time()
            await asyncio.sleep(INTERVAL_S)
            late = max(0.0, time.monotonic() - due)
            _count(table, 0, late)
            _count(table, BINS, min(late, time.thread_time() - worked))
            _NUMBER.pack_into(table, 2 * BINS * _NUMBER.size, len(asyncio.all_tasks()))


def _table(path: Path) -> mmap.mmap:
    path.write_bytes(bytes(NUMBERS * _NUMBER.size))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def _count(table: mmap.mmap, first: int, seconds: float) -> None:
    offset = (first + min(int(seconds * 1000), BINS - 1)) * _NUMBER.size
    _NUMBER.pack_into(table, offset, _NUMBER.unpack_from(table, offset)[0] + 1)
