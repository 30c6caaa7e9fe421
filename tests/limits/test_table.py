"""The counts of one host: the arithmetic of both algorithms, limits that hold together, one table of many workers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits.limit import Limit, Verdict
from proxy.limits.table import LimitTable
from tests.upstreams.listening import ROOT

rates = st.integers(1, 6000)
bursts = st.integers(1, 50)
sizes = st.integers(1, 60)
windows = st.integers(1, 100)
gaps = st.lists(st.floats(0, 5) | st.just(0.0), min_size=1, max_size=120)


def bucket(requests: int, burst: int, name: str = "key:1") -> Limit:
    return Limit(name, "key", "alice #1", requests, burst)


def window(requests: int, window_s: int = 60, name: str = "key:1") -> Limit:
    return Limit(name, "key", "alice #1", requests, window_s=window_s, sliding=True)


def admitted_at(limit: Limit, pauses: list[float]) -> list[float]:
    """Return when calls were let in that came after these pauses."""
    table, now, found = LimitTable(None), 1000.0, []
    for pause in pauses:
        now += pause
        if table.admit([limit], now).admitted:
            found.append(now)
    return found


@given(rates, bursts, gaps)
def test_no_span_admits_more_than_rate_and_burst(rpm: int, burst: int, pauses: list[float]) -> None:
    admitted = admitted_at(bucket(rpm, burst), pauses)
    for first, begin in enumerate(admitted):
        for last, end in enumerate(admitted[first:], start=first):
            assert last - first + 1 <= burst + (end - begin) * rpm / 60 + 1e-6


@given(windows, st.lists(st.tuples(st.floats(0, 5) | st.just(0.0), sizes), min_size=1, max_size=120))
def test_a_sliding_window_is_exact(window_s: int, calls: list[tuple[float, int]]) -> None:
    """Every call is let in exactly when fewer than the limit were within the window before it, however that changes."""
    table, now = LimitTable(None), 1000.0
    admitted: list[float] = []
    for pause, requests in calls:
        now += pause
        used = sum(moment > now - window_s for moment in admitted)
        verdict = table.admit([window(requests, window_s)], now)
        assert verdict.admitted == (used < requests)
        if verdict.admitted:
            admitted.append(now)
            assert verdict.remaining == requests - used - 1
        else:
            assert verdict.retry_s == pytest.approx(admitted[-requests] + window_s - now)
            assert verdict.reset_s == pytest.approx(admitted[-1] + window_s - now)


@pytest.mark.parametrize("make", [bucket, window])
@given(rates, bursts, gaps)
def test_what_a_verdict_says_is_true(make: type, rpm: int, burst: int, pauses: list[float]) -> None:
    table, limit, now = LimitTable(None), make(rpm, burst), 1000.0
    for pause in pauses:
        now += pause
        verdict = table.admit([limit], now)
    if verdict.admitted:
        again = [table.admit([limit], now).admitted for _ in range(verdict.remaining + 1)]
        assert again == [True] * verdict.remaining + [False]
    else:
        assert not table.admit([limit], now + verdict.retry_s * 0.99 - 1e-3).admitted
        assert table.admit([limit], now + verdict.retry_s + 1e-6).admitted


@given(rates, bursts)
def test_a_limit_that_rested_has_its_whole_burst(rpm: int, burst: int) -> None:
    table, limit = LimitTable(None), bucket(rpm, burst)
    for start in (1000.0, 1000.0 + burst * 60 / rpm + 0.001):
        assert [table.admit([limit], start).admitted for _ in range(burst + 1)] == [True] * burst + [False]


limits = st.lists(
    st.builds(bucket, rates, bursts, st.sampled_from("abc"))
    | st.builds(window, sizes, windows, st.sampled_from("abc")),
    min_size=1,
    max_size=4,
    unique_by=lambda limit: limit.digest,
)


@given(limits, gaps)
def test_a_call_that_one_limit_refuses_uses_up_none(chosen: list[Limit], pauses: list[float]) -> None:
    """Limits that are asked together let in what each of them would let in of the calls that all let in."""
    together, now = LimitTable(None), 1000.0
    apart = [LimitTable(None) for _ in chosen]
    for pause in pauses:
        now += pause
        each = [table.look([limit], now) for table, limit in zip(apart, chosen, strict=True)]
        verdict = together.admit(chosen, now)
        assert verdict.admitted == all(one.admitted for one in each)
        if verdict.admitted:
            assert verdict.remaining == min(one.remaining for one in each)
            for table, limit in zip(apart, chosen, strict=True):
                table.record([limit], now)
        else:
            # The longest wait decides: after it, and not before, the call would pass.
            assert verdict.retry_s == pytest.approx(max(one.retry_s for one in each if not one.admitted))


def test_looking_counts_nothing_and_recording_counts_past_the_limit() -> None:
    for limit in (bucket(60, 2), window(2)):
        table = LimitTable(None)
        assert all(table.look([limit], 1000.0).remaining == 1 for _ in range(5))
        for _ in range(5):
            table.record([limit], 1000.0)
        assert not table.admit([limit], 1000.0).admitted


def test_a_limit_of_zero_lets_nothing_pass_and_uses_up_no_other() -> None:
    table, other = LimitTable(None), bucket(60, 2, "other")
    for nothing in (bucket(0, 10), window(0)):
        verdict = table.admit([other, nothing], 1000.0)
        assert not verdict.admitted and verdict.limit is nothing and verdict.retry_s > 0
    assert table.admit([other], 1000.0).remaining == 1


def test_raising_a_limit_holds_at_once_and_forgets_no_call() -> None:
    table = LimitTable(None)
    assert [table.admit([window(10)], 1000.0).admitted for _ in range(11)] == [True] * 10 + [False]
    assert [table.admit([window(30)], 1001.0).admitted for _ in range(21)] == [True] * 20 + [False]
    # … and lowering it counts what was let in before.
    assert not table.admit([window(5)], 1059.0).admitted
    assert table.admit([window(5)], 1061.1).admitted


def test_a_bucket_that_was_slow_does_not_stay_shut_when_it_is_made_fast() -> None:
    table = LimitTable(None)
    while table.admit([bucket(1, 100)], 1000.0).admitted:
        pass
    assert not table.admit([bucket(6000, 10)], 1000.0).admitted
    assert table.admit([bucket(6000, 10)], 1000.02).admitted


def test_limits_do_not_share_and_the_table_grows(tmp_path: Path) -> None:
    names = [f"key:{number}" for number in range(3000)]
    for table in (LimitTable(None), LimitTable(tmp_path / "one", alone=True), LimitTable(tmp_path / "many")):
        for make in (lambda name: bucket(1, 1, name), lambda name: window(9, 60, name)):
            for name in names:
                while table.admit([make(name)], 1000.0).remaining:
                    pass
            assert not any(table.admit([make(name)], 1000.0).admitted for name in names)
        table.close()


def test_workers_find_the_places_that_others_made(tmp_path: Path) -> None:
    first, second = (LimitTable(tmp_path / "table") for _ in range(2))
    for number, make in enumerate((bucket, window)):
        limit = make(2, (2, 60)[number], f"key:{number}")
        assert first.admit([limit], 1000.0).remaining == 1
        assert second.admit([limit], 1000.0).remaining == 0
        assert not first.admit([limit], 1000.0).admitted
    # A window that one of them had to move is the other one's window too, also where that asks for less.
    assert first.admit([window(9, name="key:1")], 1000.0).remaining == 6
    assert not second.admit([window(3, name="key:1")], 1000.0).admitted
    third = LimitTable(tmp_path / "table")
    assert third.admit([window(9, name="key:1")], 1000.0).remaining == 5


HAMMER = """
import sys, time
from pathlib import Path
from proxy.limits.limit import Limit
from proxy.limits.table import LimitTable
table = LimitTable(Path(sys.argv[1]))
limits = [Limit("a", "key", "a", 600, 20), Limit("b", "user", "b", 10_000, 100, 60, True)]
print("ready", flush=True)
sys.stdin.readline()
end, admitted, tries = time.monotonic() + 1.0, 0, 0
while time.monotonic() < end:
    admitted += table.admit(limits).admitted
    tries += 1
print(admitted, tries, flush=True)
"""


def test_processes_that_share_a_table_admit_as_one(tmp_path: Path) -> None:
    """Four processes, ten thousands of tries in a second, one of them killed in the middle."""
    command = [sys.executable, "-c", HAMMER, str(tmp_path / "table")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    children = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    begun = time.monotonic()
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    time.sleep(0.3)
    children[0].kill()
    counts = [child.stdout.readline().split() for child in children[1:]]
    elapsed = time.monotonic() - begun
    for child in children:
        child.stdin.close()
        child.stdout.close()
        child.wait()
    admitted, tries = (sum(int(row[index]) for row in counts) for index in (0, 1))
    assert tries > 1000
    # The killed one may have had the whole burst, and its share of the first third of a second.
    assert 5 <= admitted <= 20 + 10 * elapsed + 1


def test_headers_of_a_verdict() -> None:
    assert dict(Verdict(bucket(60, 5), False, 0, 2.1, 0.4).headers()) == {
        b"x-ratelimit-limit": b"60",
        b"x-ratelimit-remaining": b"0",
        b"x-ratelimit-reset": b"3",
        b"x-ratelimit-policy": b"60;w=60",
        b"retry-after": b"1",
    }
    assert dict(Verdict(window(7, 3600), True, 6, 3600.0).headers()) == {
        b"x-ratelimit-limit": b"7",
        b"x-ratelimit-remaining": b"6",
        b"x-ratelimit-reset": b"3600",
        b"x-ratelimit-policy": b"7;w=3600",
    }


def test_a_refusal_names_the_limit_and_the_wait() -> None:
    refusal = Verdict(
        Limit("rule:3", "tool", "docs/search", 5, window_s=3600, sliding=True), False, 0, 9, 1.5
    ).refusal()
    assert (refusal.status, refusal.reason) == (429, "rate_limited_tool")
    assert refusal.message == "The rate limit of 5 requests an hour for this tool is used up; try again in 1.5 s."
    assert refusal.data == {
        "retryAfterMs": 1501,
        "limit": {
            "kind": "tool",
            "scope": "docs/search",
            "requests": 5,
            "windowSeconds": 3600,
            "algorithm": "sliding_window",
        },
    }
