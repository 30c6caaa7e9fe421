"""P29, P31: five hundred slow clients at once are cut in time, and nobody else feels them."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.gateway import ROOT
from tests.reliability.conftest import BODY_S, HEAD_S, KEYS, Figure, Watched
from tests.reliability.load import Load
from tests.reliability.meter import percentile

CLIENTS, CALLS_PER_S = 500, 100


async def _normal_load(port: int, name: str, seconds: float) -> Load:
    load = Load(port, "/mcp/second", KEYS["second"], name, CALLS_PER_S, calls_each=50)
    async with load.running():
        await asyncio.sleep(seconds)
    return load


async def test_slow_clients_are_cut_and_felt_by_nobody(watched: Watched, full: bool, figure: Figure) -> None:
    port, seconds = watched.gateway.port, 30.0 if full else 6.0
    alone = await _normal_load(port, "alone", seconds)
    options = {"port": port, "key": KEYS["first"], "clients": CLIENTS, "seconds": seconds - BODY_S}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.reliability.slow_clients", *words]
    slow = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    await asyncio.sleep(1)  # it starts
    async with watched.meter.watching():
        beside = await _normal_load(port, "beside", seconds)
    said, _ = await slow.communicate()
    found: dict[str, list[tuple[float, str]]] = json.loads(said)
    p99 = {"alone": percentile(alone.took_s, 0.99) * 1000, "beside": percentile(beside.took_s, 0.99) * 1000}
    cut = {name: [took for took, _ in ends] for name, ends in found.items()}
    words_of = {name: f"{min(times):.1f}–{max(times):.1f} s" for name, times in cut.items()}
    figure(
        "P29, P31",
        f"{CLIENTS} slow clients at once, again and again for {seconds - BODY_S:g} s: a byte a second of the head or "
        f"the body, or silence (limits {HEAD_S:g} s, {BODY_S:g} s); {CALLS_PER_S} calls/s beside them",
        f"{sum(map(len, cut.values()))} cut: head {words_of['head']}, silence {words_of['silence']}, body "
        f"{words_of['body']}; p99 of the calls {p99['alone']:.1f} ms alone, {p99['beside']:.1f} ms beside; "
        f"{beside.failed.total()} of {beside.sent} failed; {watched.meter.lag}",
        "all cut in time; p99 ≤ max(1.2 × alone, alone + 20 ms); 0 failed; lag p99 ≤ 50 ms",
    )
    assert all(said.startswith("HTTP/1.1 408") for ends in found.values() for _, said in ends)
    for name, limit_s in {"head": HEAD_S, "silence": HEAD_S, "body": BODY_S}.items():
        assert limit_s - 0.5 <= min(cut[name]) and max(cut[name]) <= limit_s + 1.5, (name, words_of)
    assert not beside.failed, beside.failed
    assert p99["beside"] <= max(1.2 * p99["alone"], p99["alone"] + 20)
    assert watched.meter.lag.holds(full)
