"""Load from wrk: a number of keep-alive connections that send one and the same POST as fast as they are answered."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk counted: answers, answers per second, those that were no 2xx or no answer at all, the median time."""

    calls: int
    calls_per_s: float
    failed: int
    p50_ms: float


def wrk(url: str, body: bytes, headers: Mapping[str, str], seconds: float, connections: int = CONNECTIONS) -> Load:
    """POST `body` to `url` over some connections for `seconds` (whole ones) and return what wrk counted."""
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(body.decode(), ensure_ascii=False)}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--latency", "--timeout", "30s"]
        command += ["-s", str(Path(script.name)), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    calls, rate = int(_number(r"(\d+) requests in", said)), _number(r"Requests/sec:\s+([\d.]+)", said)
    return Load(calls, rate, _failures(said), _median_ms(said))


def _number(pattern: str, text: str) -> int | float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk did not say {pattern!r}:\n{text}")
    return float(found[1]) if "." in found[1] else int(found[1])


def _median_ms(text: str) -> float:
    """Return the median, which wrk gives in the unit that suits it; 0 when nothing was answered."""
    found = re.search(r"^\s+50%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[found[2]] if found else 0.0


def _failures(text: str) -> int:
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return sum(int(count) for found in (refused, broken) if found for count in found.groups())
