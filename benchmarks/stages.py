"""`python -m benchmarks.stages`: on what a worker spends the microseconds of one call, stage by stage.

Two figures of each stage: how many steps of the interpreter (bytecodes) and Python functions a call takes there, which
are the same at each run and on each machine, and its share of the CPU time, by some thousand samples of what was being
done. Sockets and the system's part of a call are not in it (see `in_memory.py`); `make bench` measures the whole.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from types import CodeType, FrameType
from typing import Any

import uvloop

from benchmarks import in_memory, report

CONNECTIONS = 32
WARM_UP = 2000
COUNTED = 640
SAMPLE_S = 0.001
REST = "event loop, tasks, what is left"
_SERVER, _EXCHANGE, _APP = "server/http_protocol.py", "proxy/exchange.py", "proxy/app.py"
# Of the rows that fit a frame the first counts: stage, end of the file's name, functions (none: all of the file's).
_ROWS: tuple[tuple[str, str, str], ...] = (
    ("answer: head and body in one write", _SERVER, "respond on_response_complete"),
    ("answer: head and body in one write", "server/request_cycle.py", "write_whole write_whole.<locals>.<listcomp>"),
    ("answer: head and body in one write", _EXCHANGE, "reply _head"),
    ("answer: head and body in one write", "proxy/limits/limit.py", "headers"),
    ("read the request's body as JSON-RPC", "server/request_cycle.py", "take_body"),
    ("read the request's head", "server/request_cycle.py", "__init__"),
    ("task, Channels' router, application", "server/request_cycle.py", "start run_asgi"),
    ("task, Channels' router, application", "channels/routing.py", ""),
    ("task, Channels' router, application", "gateway_project/path_router.py", ""),
    ("task, Channels' router, application", _APP, "__call__ _answer"),
    ("task, Channels' router, application", "_weakrefset.py", ""),
    ("read the request's head", "gateway_project/server/", ""),
    ("what is known of the call: its headers, its record", _EXCHANGE, "__init__ _new_id disarm"),
    ("what is known of the call: its headers, its record", "proxy/head.py", ""),
    ("what is known of the call: its headers, its record", "<string>", ""),
    ("host, caller, namespace", "proxy/origin.py", ""),
    ("host, caller, namespace", "proxy/auth.py", ""),
    ("host, caller, namespace", "proxy/snapshot.py", ""),
    ("host, caller, namespace", _EXCHANGE, "identify"),
    ("host, caller, namespace", "proxy/runtime.py", "usable"),
    ("host, caller, namespace", _APP, "_serve _snapshot _enter"),
    ("read the request's body as JSON-RPC", _EXCHANGE, "describe"),
    ("read the request's body as JSON-RPC", "proxy/jsonrpc.py", "parse _request _fill _identifier"),
    ("read the request's body as JSON-RPC", "proxy/request_body.py", ""),
    ("read the request's body as JSON-RPC", "proxy/era.py", ""),
    ("read the request's body as JSON-RPC", _APP, "_post _open_session"),
    ("may it call this tool", _APP, "_look_up"),
    ("may it call this tool", "proxy/allowance.py", "brake"),
    ("may it call this tool", "proxy/policy.py", ""),
    ("may it call this tool", "namespaces/rules.py", ""),
    ("rate limits", "proxy/allowance.py", ""),
    ("rate limits", "proxy/limits/", ""),
    ("places, breaker, deadlines", "proxy/admission.py", "admit pass_breaker"),
    ("places, breaker, deadlines", "proxy/concurrency.py", ""),
    ("places, breaker, deadlines", "proxy/places.py", ""),
    ("places, breaker, deadlines", "proxy/admission.py", ""),
    ("places, breaker, deadlines", "proxy/breaker.py", ""),
    ("places, breaker, deadlines", "namespaces/circuits.py", ""),
    ("places, breaker, deadlines", "proxy/deadline.py", ""),
    ("places, breaker, deadlines", _EXCHANGE, "answered"),
    ("send to the upstream", "proxy/forward_headers.py", ""),
    ("send to the upstream", "proxy/head.py", "trace"),
    ("send to the upstream", "proxy/retries.py", ""),
    ("send to the upstream", "proxy/upstream.py", "send send.<locals>.<listcomp> _reuse"),
    ("send to the upstream", "proxy/upstream_connection.py", "write _begin head _news usable"),
    ("send to the upstream", "proxy/runtime.py", "upstream_state"),
    ("send to the upstream", _APP, "_forward _forward.<locals>.<lambda>"),
    ("read the upstream's answer", "proxy/upstream_connection.py", ""),
    ("read the upstream's answer", "proxy/answer_head.py", ""),
    ("read the upstream's answer", "proxy/upstream.py", ""),
    ("check the answer", "proxy/relay.py", ""),
    ("check the answer", "proxy/response.py", ""),
    ("check the answer", "proxy/jsonrpc.py", "read_answer"),
    ("record: a line on the journal", _EXCHANGE, "conclude"),
    ("record: a line on the journal", "proxy/runtime.py", "write"),
    ("record: a line on the journal", "analytics/", ""),
    ("access log", "proxy/access_log.py", ""),
    ("metrics", "proxy/metrics.py", ""),
)
_ORDER = (
    *("read the request's head", "task, Channels' router, application"),
    *("what is known of the call: its headers, its record", "host, caller, namespace"),
    *("read the request's body as JSON-RPC", "may it call this tool", "rate limits", "places, breaker, deadlines"),
    *("send to the upstream", "read the upstream's answer", "check the answer", "record: a line on the journal"),
    *("metrics", "access log", "answer: head and body in one write", REST),
)
_known: dict[CodeType, str | None] = {}


def stage_of(code: CodeType) -> str | None:
    """Return the stage that a function belongs to; None for one that counts with its caller."""
    if code not in _known:
        name = code.co_qualname.rpartition(".<locals>.")[0] and code.co_qualname.split(".", 1)[-1]
        name = name or code.co_name
        _known[code] = next(
            (
                stage
                for stage, file, functions in _ROWS
                if (code.co_filename.endswith(file) or (file.endswith("/") and file in code.co_filename))
                and (not functions or name in functions.split())
            ),
            None,
        )
    return _known[code]


def _stage_of_frame(frame: FrameType | None) -> str:
    while frame is not None:
        if (stage := stage_of(frame.f_code)) is not None:
            return stage
        frame = frame.f_back
    return REST


class Counts:
    """Bytecodes and functions by stage, while it is switched on."""

    def __init__(self) -> None:
        self.bytecodes: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename.endswith("benchmarks/in_memory.py"):
            return None
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            self.functions[_stage_of_frame(frame)] += 1
        elif event == "opcode":
            self.bytecodes[_stage_of_frame(frame)] += 1
        return self._trace

    async def of(self, calls: in_memory.Calls, count: int) -> int:
        """Count while so many calls are made; return how many they were."""
        sys.settrace(self._trace)
        try:
            return await calls.run(count)
        finally:
            sys.settrace(None)


class Samples:
    """What was being done, at moments that are evenly spread over the CPU time of this process."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def _sample(self, _: int, frame: FrameType | None) -> None:
        self.found[_stage_of_frame(frame)] += 1

    async def of(self, calls: in_memory.Calls, count: int) -> float:
        """Look while so many calls are made; return the CPU time of one, in microseconds."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
        try:
            begun = time.process_time()
            made = await calls.run(count)
            return (time.process_time() - begun) / made * 1e6
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


async def measure(count: int) -> tuple[list[list[str]], float, int]:
    """Return the table's rows, the microseconds of a call, and how many samples they rest on."""
    counts, samples = Counts(), Samples()
    with in_memory.calls(CONNECTIONS) as calls:
        await calls.run(WARM_UP)
        counted = await counts.of(calls, COUNTED)
        cost_us = await samples.of(calls, count)
    total = samples.found.total()
    rows = [
        [
            stage,
            f"{counts.bytecodes[stage] / counted:,.0f}",
            f"{counts.functions[stage] / counted:.1f}",
            f"{samples.found[stage] / total * cost_us:.1f}",
        ]
        for stage in _ORDER
    ]
    rows.append(
        [
            "together",
            f"{counts.bytecodes.total() / counted:,.0f}",
            f"{counts.functions.total() / counted:.1f}",
            f"{cost_us:.1f}",
        ]
    )
    return rows, cost_us, total


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000, help="over which the time is sampled")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows, _, samples = runner.run(measure(options.calls))
    print(report.table(["stage", "bytecodes", "functions", "µs"], rows))
    print(f"\n{options.calls:,} calls over {CONNECTIONS} connections, {samples:,} samples.")


if __name__ == "__main__":
    main()
