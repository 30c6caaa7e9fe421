"""A process that makes small tool calls at a rate, as clients do, and tells what each took (`-m benchmarks.callers`).

A call's time runs from the moment when it was due, so that a call that had to wait for the one before it counts that
wait too (otherwise a stall would be measured once and hide all the calls behind it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import uvloop

from benchmarks import machine
from tests.gateway import Gateway
from tests.reliability.load import Load

_WARM_UP_S = 2.0


@dataclass(frozen=True, slots=True)
class Calls:
    """What the calls of one run came to: times in seconds, the ids of those answered, other ends by what they were."""

    took_s: list[float]
    answered: list[str]
    failed: Mapping[str, int] = field(default_factory=dict)


@contextmanager
def running(
    gateway: Gateway, namespace: str, key: str, name: str, rate: float, seconds: float
) -> Iterator[CallersProcess]:
    """Make `rate` calls a second for `seconds`; the request ids begin with `name-`."""
    address = ["--port", str(gateway.port), "--path", f"/mcp/{namespace}", "--key", key, "--name", name]
    command = [sys.executable, "-m", "benchmarks.callers", *address, "--rate", str(rate), "--seconds", str(seconds)]
    process = subprocess.Popen(command, cwd=machine.ROOT, stdout=subprocess.PIPE)
    try:
        yield CallersProcess(process)
    finally:
        process.kill()
        process.wait()


class CallersProcess:
    """The process while it makes calls."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def calls(self) -> Calls:
        """Wait for its end and return what the calls came to."""
        said, _ = self._process.communicate()
        assert self._process.returncode == 0, f"the callers ended with {self._process.returncode}"
        return Calls(**json.loads(said))


async def _run(load: Load, seconds: float) -> Calls:
    async with load.running():
        await asyncio.sleep(_WARM_UP_S)
        before = len(load.took_s)
        await asyncio.sleep(seconds)
    return Calls(load.took_s[before:], sorted(load.answered), dict(load.failed))


def main() -> None:
    """Make the calls, then print what they came to as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--path", "--key", "--name"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="calls a second")
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    load = Load(options.port, options.path, options.key, options.name, options.rate)
    calls = uvloop.run(_run(load, options.seconds))
    json.dump(asdict(calls), sys.stdout)


if __name__ == "__main__":
    main()
