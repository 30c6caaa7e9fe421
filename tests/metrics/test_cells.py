"""The files of numbers: shared, taken over from the dead, bounded; and what counting costs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from analytics.metrics import cells, families
from analytics.metrics.cells import Cells
from analytics.metrics.host import HostCollector
from analytics.record import RequestRecord
from proxy.metrics import CallMetrics, ProcessMetrics
from tests.gateway import ROOT


def total(directory: Path, family: str, *labels: str) -> float:
    """Add a series up over all files."""
    return sum(file.get((family, labels), (0.0,))[0] for file in cells.read(directory))


def test_two_writers_have_a_file_each_and_readers_add_them_up(tmp_path: Path) -> None:
    first, second = Cells(tmp_path), Cells(tmp_path)
    for writer, number in ((first, 3), (second, 4)):
        for _ in range(number):
            writer.values[writer.find("calls", ("a", "b"))] += 1
    second.values[second.find("calls", ("c", "d"))] += 1
    assert total(tmp_path, "calls", "a", "b") == 7
    assert total(tmp_path, "calls", "c", "d") == 1
    first.close()
    third = Cells(tmp_path)
    assert third.values[third.find("calls", ("a", "b"))] == 3, "it counts on where the first one ended"
    assert len(list(tmp_path.glob("cells-?"))) == 2


COUNTER = """
import sys
from pathlib import Path
from analytics.metrics.cells import Cells
cells = Cells(Path(sys.argv[1]))
place = cells.find("calls", ("x",))
for number in range(10**9):
    cells.values[place] += 1
    if number % 1000 == 0:
        print(number + 1, flush=True)
"""


def test_a_killed_writers_counts_stay_and_go_on(tmp_path: Path) -> None:
    before = 0.0
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", COUNTER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        said = [int(child.stdout.readline()) for _ in range(50)][-1]
        seen = total(tmp_path, "calls", "x")
        child.kill()
        child.wait()
        child.stdout.close()
        after = total(tmp_path, "calls", "x")
        assert after >= seen >= before and after >= before + said
        before = after
    assert len(list(tmp_path.glob("cells-?"))) == 1


def test_a_torn_line_of_names_is_cut_off(tmp_path: Path) -> None:
    first = Cells(tmp_path)
    first.values[first.find("calls", ("a",))] += 5
    first.close()
    names = tmp_path / "cells-0.names"
    names.write_bytes(names.read_bytes() + b'["calls", 1, "ha')
    assert total(tmp_path, "calls", "a") == 5
    second = Cells(tmp_path)
    second.values[second.find("calls", ("b",))] += 1
    assert (total(tmp_path, "calls", "a"), total(tmp_path, "calls", "b")) == (5, 1)


def test_a_full_file_counts_under_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "CELLS", 2000)
    full = Cells(tmp_path)
    for number in range(5000):
        full.values[full.find("calls", (str(number), "x"))] += 1
    assert total(tmp_path, "calls", "0", "x") == 1
    assert total(tmp_path, "calls", "other", "other") == 5000 - (2000 - 1024)
    assert sum(numbers[0] for numbers in full.series().values()) == 5000


def test_labels_may_hold_anything(tmp_path: Path) -> None:
    labels = ("a\nb", '"\\', "żółw 🐢", "")
    writer = Cells(tmp_path)
    writer.values[writer.find("calls", labels)] += 1
    assert total(tmp_path, "calls", *labels) == 1


def test_gauges_of_a_process_that_stopped_writing_are_not_told(tmp_path: Path) -> None:
    process = ProcessMetrics(Cells(tmp_path), "0")
    process.note_lag(0.25, time.monotonic())
    process.publish(3, 2, 1.0)

    def told(now: float) -> dict[str, float]:
        families_ = HostCollector(cells.read(tmp_path), now=now).collect()
        return {sample.name: sample.value for family in families_ for sample in family.samples}

    now = time.monotonic()
    fresh, stale = told(now), told(now + families.FRESH_S + 1)
    assert (fresh["mcp_gateway_active_connections"], fresh["mcp_gateway_event_loop_lag_seconds"]) == (3, 0.25)
    assert fresh["mcp_gateway_workers"] == 1 and stale["mcp_gateway_workers"] == 0
    assert "mcp_gateway_process_open_fds" in fresh and "mcp_gateway_process_open_fds" not in stale
    assert stale["mcp_gateway_process_cpu_seconds_total"] == fresh["mcp_gateway_process_cpu_seconds_total"] > 0


CONFIGURED: dict[str, Any] = {}


def exchange(number: int) -> Any:
    """A good call of one of fifty tools."""
    record = RequestRecord(
        "0" * 32,
        0.0,
        namespace="demo",
        upstream="demo",
        key_id=7,
        user_id="alice",
        method="tools/call",
        tool=f"tool-{number % 50}",
        http_status=200,
        total_us=1000 + number * 97,
    )
    tools = {f"tool-{n}": {} for n in range(50)}
    if "access" not in CONFIGURED:
        upstream = SimpleNamespace(catalogue=SimpleNamespace(names={"tool": tools}))
        CONFIGURED["access"] = SimpleNamespace(namespace=SimpleNamespace(upstream=upstream))
    return SimpleNamespace(record=record, message=object(), scope={"method": "POST"}, access=CONFIGURED["access"])


def test_counting_a_call_costs_no_more_than_one_counter_of_the_client_library(tmp_path: Path) -> None:
    metrics = CallMetrics(Cells(tmp_path))
    calls = [exchange(number) for number in range(1000)]
    library = Counter("calls", "The same labels as C.4 has", list("abcde"), registry=CollectorRegistry())

    def ours() -> None:
        for call in calls:
            metrics.count(call)

    def theirs() -> None:
        for _ in calls:
            library.labels("POST", "/mcp/demo", "200", "api_key", "demo").inc()

    def cost_us(work: Any) -> float:
        begun = time.thread_time_ns()
        work()
        return (time.thread_time_ns() - begun) / len(calls) / 1000

    ours()
    pairs = [(cost_us(ours), cost_us(theirs)) for _ in range(15)]
    mine, other = (min(column) for column in zip(*pairs, strict=True))
    print(f"a call: {mine:.2f} µs for all of its numbers; one labelled counter of the library: {other:.2f} µs")
    assert mine < other
    kind = ("POST", "/mcp/demo", "200", "api_key", "demo", "ok", "", "tools/call", "tool-3", "")
    assert total(tmp_path, families.CALLS, *kind) == 16 * 20
