"""What `make bench` tells: a missed floor is never hidden, every way is in the chart, wrk's words are read rightly."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from benchmarks import chart, floors, load, loads
from benchmarks.matrix import Matrix, Run
from benchmarks.ways import BARE, GATEWAY, NGINX, Way

WAYS = [Way(name, f"the {name}", {}, {}, pid) for pid, name in enumerate((NGINX, BARE, GATEWAY), 1)]
SAID = """
  Thread Stats   Avg      Stdev     Max   +/- Stdev
  Latency Distribution
     50%  812.00us
     75%    1.20ms
  4000 requests in 1.00s, 1.00MB read
"""


def _runs(**rates: float) -> Matrix:
    """One run of the small call at 32 connections for each way, with so many calls per second."""
    return Matrix([Run(way, "bench", 32, 100, 0, rate, 1.0, 1e6 / rate) for way, rate in rates.items()])


def test_a_missed_floor_is_shown_as_missed() -> None:
    (figure,) = floors.of_throughput(_runs(nginx=30_000.0, gateway=3_000.0), {NGINX: "nginx"})
    assert figure.row()[1:] == ["0.10 (3,000 ÷ 30,000 calls/s)", "≥ 0.20", "**missed**"]
    assert figure.guarded, "a clock's figure is not the guard's"


def test_a_peer_that_did_not_run_is_not_judged() -> None:
    assert floors.of_throughput(_runs(gateway=3_000.0), {}) == []


def test_a_cell_is_the_median_of_its_rounds_and_says_what_failed() -> None:
    rounds = [Run(BARE, "bench", 32, 10, failed, rate, 1.0, 2.0) for failed, rate in ((0, 10.0), (1, 30.0), (0, 20.0))]
    cell = Matrix(rounds).cell(BARE, loads.SMALL, 32)
    assert cell is not None
    assert (cell.calls_per_s, cell.failed) == (20.0, 1)
    assert Matrix(rounds).cell(GATEWAY, loads.SMALL, 32) is None


def test_the_chart_keeps_its_words_as_text() -> None:
    drawn = chart.draw(_runs(nginx=30_000.0, gateway=3_000.0), WAYS, [loads.SMALL], 32, "a <machine> & more.")
    texts = [element.text for element in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    assert {
        "JSON, small",
        "the gateway",
        "3,000",
        "30,000",
        "no answer",
        "a <machine> & more. Logarithmic scale.",
    } <= set(texts)
    assert "prefers-color-scheme: dark" in drawn


@pytest.mark.parametrize(
    ("line", "median_ms"), [("50%  812.00us", 0.812), ("50%    1.20ms", 1.2), ("50%    2.50s", 2500.0), ("", 0.0)]
)
def test_the_median_is_read_in_every_unit(line: str, median_ms: float) -> None:
    assert load._median_ms(SAID.replace("50%  812.00us", line)) == pytest.approx(median_ms)


def test_a_peer_calls_tools_by_its_own_names() -> None:
    assert b'"name": "bench-echo"' in loads.SMALL.body_for("bench-")
    assert loads.LIST.body_for("bench-") == loads.LIST.body
    assert len(loads.tools()) == loads.TOOLS
    assert len(loads.answers()["large"]["result"]["content"][0]["text"]) == loads.LARGE_BYTES
