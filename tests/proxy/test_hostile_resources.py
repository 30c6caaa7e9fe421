"""What a hostile upstream may cost (P6, P7): memory and descriptors come back."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.proxy.plane import HOSTILE_ANSWER_BYTES, Caller, tool_call
from tests.upstreams.hostile import BEHAVIOURS


def _resources(caller: Caller) -> tuple[int, int]:
    """Resident bytes and open descriptors of the gateway's worker."""
    (pid,) = caller.gateway.worker_pids()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.alone
def test_p6_a_hostile_upstream_cannot_exhaust_the_gateway(caller: Caller) -> None:
    """Twenty behaviours at once, twice over; afterwards memory and descriptors are back."""
    caller.post("h-ok", tool_call())
    before, descriptors = _resources(caller)
    failures: list[str] = []

    def call(name: str) -> None:
        try:
            answer = caller.post(f"h-{name}", tool_call(identifier=7), timeout_s=20)
            assert answer.message["id"] == 7, answer
        except Exception as error:
            failures.append(f"{name}: {error!r}")

    for part in range(0, len(BEHAVIOURS), 20):
        threads = [threading.Thread(target=call, args=[name]) for name in BEHAVIOURS[part : part + 20] * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert not failures, failures
    time.sleep(5)  # kept connections to upstreams close after four seconds
    after, left = _resources(caller)
    assert after - before < (64 << 20) + 4 * HOSTILE_ANSWER_BYTES, f"{(after - before) >> 20} MiB more"
    assert left <= descriptors + 2
    assert caller.post("h-ok", tool_call()).text == "ok"


@pytest.mark.alone
def test_p7_a_decompression_bomb_is_refused_at_its_head(caller: Caller) -> None:
    """512 MiB, compressed a thousand times: nothing of it is inflated, whoever asked for it."""
    caller.post("h-gzip-bad", tool_call())
    before, _ = _resources(caller)
    for _ in range(3):
        begun = time.monotonic()
        assert caller.post("h-gzip-bomb", tool_call()).reason == "upstream_encoding"
        assert time.monotonic() - begun < 2
    assert _resources(caller)[0] - before < 8 << 20
