"""A process that writes invented calls into a gateway's journal, as a worker does: `python -m benchmarks.generator`.

The calls are drawn from a sample of the log, so that names are spread as they are there. The id of each is written
down once its line is on the journal, 16 bytes each, to be looked for in the log afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path
from typing import Any

from analytics.record import RequestRecord
from analytics.recorder import Recorder

# Lines are written in bursts: sleeping between single ones would cost more than writing them.
BURST_S = 0.01
# What is drawn from the log; the rest of a record is new.
SAMPLED = (
    "namespace",
    "upstream",
    "key_id",
    "user_id",
    "method",
    "tool",
    "outcome",
    "reason",
    "http_status",
    "jsonrpc_code",
    "total_us",
    "upstream_us",
    "first_byte_us",
    "request_bytes",
    "response_bytes",
    "protocol_version",
    "client_name",
    "client_address",
)


class Generator:
    """Puts calls on the journal and their ids into a file."""

    def __init__(self, directory: Path, sample: list[list[Any]], ids: Path) -> None:
        """Take the journal's directory, rows of SAMPLED to draw from, and the file that gets the ids."""
        self.written = 0
        self._sample = sample
        self._recorder = Recorder(directory, 1 << 34)
        self._ids = os.open(ids, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def put(self, count: int, at: float) -> None:
        """Write `count` calls that began at `at` (seconds since 1970) or within the burst after it."""
        ids = bytearray()
        for number, row in enumerate(random.choices(self._sample, k=count)):
            identifier = random.getrandbits(128)
            name = f"{identifier:032x}"
            moment = at + BURST_S * number / count
            record = RequestRecord(name, moment, request_id=name, **dict(zip(SAMPLED, row, strict=True)))
            if self._recorder.put(record):
                ids += identifier.to_bytes(16)
        os.write(self._ids, ids)
        self.written += len(ids) // 16

    def steadily(self, rate: float, seconds: float) -> None:
        """Write `rate` calls a second for `seconds`; what a pause of this process held up is made up for."""
        begun = time.time()
        while (now := time.time()) < begun + seconds:
            due = round(rate * (now - begun)) - self.written
            if due > 0:
                self.put(due, now)
            time.sleep(BURST_S)
        self.put(max(0, round(rate * seconds) - self.written), time.time())

    def spread(self, count: int, since: float, until: float) -> None:
        """Write `count` calls that began between the two moments (seconds since 1970), evenly, the oldest first."""
        for number in range(count):
            self.put(1, since + (until - since) * number / count)

    def close(self) -> None:
        """End the journal's file, so that the shipper removes it once it is shipped."""
        self._recorder.close()
        os.close(self._ids)


def main() -> None:
    """Write as the command line says, then print how many calls are on the journal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="the gateway's journal directory")
    parser.add_argument("sample", type=Path, help="a JSON file with rows of the log")
    parser.add_argument("ids", type=Path, help="the file that gets the ids")
    parser.add_argument("--rate", type=float, default=5000, help="calls a second")
    parser.add_argument("--seconds", type=float, default=60, help="for how long")
    parser.add_argument("--spread", type=float, nargs=3, metavar=("COUNT", "SINCE", "UNTIL"), help="past calls instead")
    options = parser.parse_args()
    generator = Generator(options.directory, json.loads(options.sample.read_text()), options.ids)
    if options.spread:
        count, since, until = options.spread
        generator.spread(int(count), since, until)
    else:
        generator.steadily(options.rate, options.seconds)
    generator.close()
    print(generator.written)


if __name__ == "__main__":
    main()
