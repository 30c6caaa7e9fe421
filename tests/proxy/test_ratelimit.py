"""Requests per minute with burst: the arithmetic, one table under many processes, and what a client sees of it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from proxy.ratelimit import RateLimiter, Verdict
from proxy.snapshot import Limit
from tests.proxy.plane import Caller, expect_refused, tool_call
from tests.upstreams.listening import ROOT

rates = st.integers(1, 6000)
bursts = st.integers(1, 50)
gaps = st.lists(st.floats(0, 5) | st.just(0.0), min_size=1, max_size=120)


@given(rates, bursts, gaps)
def test_no_window_admits_more_than_rate_and_burst(rpm: int, burst: int, pauses: list[float]) -> None:
    limiter, limit, now = RateLimiter(None), Limit(1, rpm, burst), 1000.0
    admitted: list[float] = []
    for pause in pauses:
        now += pause
        if limiter.admit(limit, now).admitted:
            admitted.append(now)
    for first, begin in enumerate(admitted):
        for last, end in enumerate(admitted[first:], start=first):
            assert last - first + 1 <= burst + (end - begin) * rpm / 60 + 1e-6


@given(rates, bursts, gaps)
def test_what_a_verdict_says_is_true(rpm: int, burst: int, pauses: list[float]) -> None:
    limiter, limit, now = RateLimiter(None), Limit(1, rpm, burst), 1000.0
    for pause in pauses:
        now += pause
        verdict = limiter.admit(limit, now)
    if verdict.admitted:
        again = [limiter.admit(limit, now).admitted for _ in range(verdict.remaining + 1)]
        assert again == [True] * verdict.remaining + [False]
    else:
        assert not limiter.admit(limit, now + verdict.retry_s * 0.99 - 1e-3).admitted
        assert limiter.admit(limit, now + verdict.retry_s + 1e-6).admitted


@given(rates, bursts)
def test_a_limit_that_rested_has_its_whole_burst(rpm: int, burst: int) -> None:
    limiter, limit = RateLimiter(None), Limit(1, rpm, burst)
    for start in (1000.0, 1000.0 + burst * 60 / rpm + 0.001):
        assert [limiter.admit(limit, start).admitted for _ in range(burst + 1)] == [True] * burst + [False]


def test_limits_do_not_share_and_the_table_grows(tmp_path: Path) -> None:
    for limiter in (RateLimiter(None), RateLimiter(tmp_path / "table")):
        for slot in (0, 1, 4095, 4096, 70_000):
            assert limiter.admit(Limit(slot, 1, 1), 1000.0).admitted
            assert not limiter.admit(Limit(slot, 1, 1), 1000.0).admitted
        assert not limiter.admit(Limit(5, 0, 10), 1000.0).admitted
        limiter.close()


def test_headers_of_a_verdict() -> None:
    assert dict(Verdict(False, 60, 0, 2.1, 0.4).headers()) == {
        b"x-ratelimit-limit": b"60",
        b"x-ratelimit-remaining": b"0",
        b"x-ratelimit-reset": b"3",
        b"x-ratelimit-policy": b"60;w=60",
        b"retry-after": b"1",
    }


HAMMER = """
import sys, time, types
from pathlib import Path
from proxy.ratelimit import RateLimiter
limiter, limit = RateLimiter(Path(sys.argv[1])), types.SimpleNamespace(slot=7, rpm=600, burst=20)
print("ready", flush=True)
sys.stdin.readline()
end, admitted, tries = time.monotonic() + 1.0, 0, 0
while time.monotonic() < end:
    admitted += limiter.admit(limit).admitted
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


def test_a_client_sees_its_limit_on_every_answer(caller: Caller) -> None:
    found = [caller.post("echo", tool_call(identifier=number), key="limited") for number in range(5)]
    statuses = [answer.status for answer in found]
    assert statuses[:3] == [200, 200, 200] and 429 in statuses
    assert [answer.header("x-ratelimit-remaining") for answer in found[:3]] == ["2", "1", "0"]
    refused = next(answer for answer in found if answer.status == 429)
    expect_refused(refused, [429], [-31429])
    assert refused.header("x-ratelimit-limit") == "60" and refused.header("retry-after") == "1"
    assert refused.reason == "rate_limited" and 0 < refused.message["error"]["data"]["retryAfterMs"] <= 1001
    assert refused.message["id"] == statuses.index(429)
    time.sleep(refused.message["error"]["data"]["retryAfterMs"] / 1000)
    denied = caller.post("listed", tool_call("add"), key="limited")
    assert denied.code in (-32602, -31429)


def test_a_limit_of_zero_lets_nothing_pass(caller: Caller) -> None:
    before = caller.count()["calls"]
    for _ in range(3):
        answer = caller.post("echo", tool_call(), key="stopped")
        expect_refused(answer, [429], [-31429])
    assert caller.count()["calls"] == before


def test_an_unlimited_key_has_no_such_headers(caller: Caller) -> None:
    assert caller.post("echo", tool_call()).header("x-ratelimit-limit") is None
