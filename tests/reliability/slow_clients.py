"""Slow clients, many at once, in a process of their own: whoever is cut comes back until the time is over.

Run: `python -m tests.reliability.slow_clients --port P --key K --clients N --seconds S`. Prints one JSON object: by
habit, after how many seconds each was cut and what it was told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import time

from tests.reliability.client import Connection, protocol_headers

# A byte now and then, as nginx's documentation of slow clients describes them: of the head, of the body, none at all.
PACE_S = 1.0


def habits(key: str) -> dict[str, tuple[bytes, bool]]:
    """Return what each kind of client sends at first, and whether anything follows."""
    lines = [f"{name}: {value}" for name, value in protocol_headers(key).items()]
    head = "\r\n".join(["POST /mcp/first HTTP/1.1", "Host: 127.0.0.1", *lines, "Content-Length: 1000", "", ""])
    return {
        "head": (b"POST /mcp/first HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", True),
        "silence": (b"", False),
        "body": (head.encode(), True),
    }


async def _suffer(port: int, first: bytes, goes_on: bool, longest_s: float) -> tuple[float, str]:
    """Be slow until cut; return after how many seconds that was, and the status that was told (or nothing)."""
    connection = await Connection.open(port)
    begun = time.monotonic()
    connection.writer.write(first)
    reading = asyncio.create_task(connection.reader.read(4096))
    with contextlib.suppress(OSError):
        while not reading.done() and time.monotonic() < begun + longest_s:
            await asyncio.wait({reading}, timeout=PACE_S)
            if goes_on and not reading.done():
                connection.writer.write(b"x")
    took = time.monotonic() - begun
    connection.close()
    if not reading.done():
        reading.cancel()
        return took, "never cut"
    said = b"" if reading.exception() else reading.result()
    return took, said.partition(b"\r\n")[0].decode("latin-1")


async def run(port: int, key: str, clients: int, seconds: float) -> dict[str, list[tuple[float, str]]]:
    """Keep `clients` slow clients going for `seconds`, a third of each habit; those under way then are seen to it."""
    kinds = habits(key)
    found: dict[str, list[tuple[float, str]]] = {name: [] for name in kinds}
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        name = list(kinds)[number % len(kinds)]
        await asyncio.sleep(random.Random(number).uniform(0, 0.5))
        while time.monotonic() < until:
            found[name].append(await _suffer(port, *kinds[name], longest_s=30))

    await asyncio.gather(*(one(number) for number in range(clients)))
    return found


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(run(options.port, options.key, options.clients, options.seconds))))


if __name__ == "__main__":
    main()
