"""P4: what nginx takes for one request the gateway takes for one, whatever its framing; both logs tell the same."""

from __future__ import annotations

import contextlib
import json
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import nginx
from tests.gateway import wait_for
from tests.proxy.plane import Caller
from tests.proxy.test_framing import BODY, CHUNKED, PATH, REFUSED, SIZE, framed
from tests.proxy.wire import play, request

pytestmark = nginx.needed
LOG = "$request_id $status $upstream_addr $upstream_status $upstream_http_x_request_id"
SECOND = request(PATH, BODY, [("Content-Type", "application/json"), ("Connection", "close")])
TAKEN = {
    "HF5 a second request without a credential behind the body": framed(f"Content-Length: {SIZE}") + SECOND,
    "HF5 half a request behind the body": framed(f"Content-Length: {SIZE}") + b"GET /smuggled HTTP/1.1\r\nX: ",
    "HF5 a request inside a chunked body's end": framed("Transfer-Encoding: chunked", body=CHUNKED) + SECOND,
    "HF15 expect": framed(f"Content-Length: {SIZE}", "Expect: 100-continue", "Connection: close"),
    "HF16 a trailer": framed("Transfer-Encoding: chunked", body=CHUNKED[:-2] + b"X-Api-Key: a\r\n\r\n") + SECOND,
    "a chunk's extension": framed("Transfer-Encoding: chunked", body=b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY)),
    "two calls one after the other": framed(f"Content-Length: {SIZE}") * 2,
    "plain": framed(f"Content-Length: {SIZE}", "Connection: close"),
    "chunked": framed("Transfer-Encoding: chunked", "Connection: close", body=CHUNKED),
}
CUT = {
    "HF6 a short body": framed(f"Content-Length: {SIZE + 10}"),
    "HF6 a chunk that never ends": framed("Transfer-Encoding: chunked", body=b"%x\r\n%b" % (SIZE + 5, BODY)),
}


@dataclass(frozen=True, slots=True)
class Passed:
    """A request in nginx's log that it passed on; `answered`: by the gateway's application, which told its id."""

    id: str
    status: str
    answered: bool


def _passed(log: Path) -> list[Passed]:
    found = []
    for line in log.read_text().splitlines():
        identifier, _, address, status, told = line.split()
        assert told in ("-", identifier), "an answer was taken for another request's"
        if address != "-":
            found.append(Passed(identifier, status, told != "-"))
    return found


def _send(port: int, data: bytes, *, half_close: bool) -> None:
    with contextlib.suppress(OSError, AssertionError):
        play(port, data, half_close=half_close)


def _reset(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(data)


def test_p4_both_logs_hold_the_same_requests(caller: Caller, tmp_path: Path) -> None:
    begun = len(caller.gateway.output())
    calls = caller.count()["calls"]

    def recorded() -> list[dict[str, Any]]:
        lines = (line for line in caller.gateway.output()[begun:].splitlines() if line.startswith("{"))
        records = [json.loads(line) for line in lines]
        logs = ("gateway.call", "gateway.access")
        return [one for one in records if one.get("logger") in logs and "request_id" in one]

    with nginx.in_front_of(caller.gateway, tmp_path, LOG, scheme="http") as port:
        for data in [*(data for data, _ in REFUSED.values()), *TAKEN.values()]:
            _send(port, data, half_close=False)
        for data in CUT.values():
            _send(port, data, half_close=True)
            _reset(port, data)
        log = tmp_path / "access"
        wait_for(lambda: len(log.read_text().splitlines()) >= len(REFUSED) + len(TAKEN) - 5, 10)

        def settled() -> bool:
            passed, ours = _passed(log), {one["request_id"] for one in recorded()}
            return {one.id for one in passed if one.answered} <= ours <= {one.id for one in passed}

        # A request whose client left is in nginx's log once nginx has noticed.
        wait_for(settled, 10, lambda: f"{log.read_text()}\n{recorded()}")
    passed = _passed(log)
    answered = Counter(one.id for one in passed if one.answered)
    ours = Counter(one["request_id"] for one in recorded())
    unanswered = {one.id for one in passed if not one.answered}
    assert Counter({name: count for name, count in ours.items() if name not in unanswered}) == answered
    assert set(ours.values()) == {1}
    # What one asked for the other did: the calls that came to the upstream are the answers that were good.
    good = [one for one in passed if one.status == "200"]
    assert caller.count()["calls"] == calls + len(good)
    assert len(good) >= 8 and len(answered) > len(good)
