"""A child of `serve`: back-off, heartbeats, and what the terminal shows."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from gateway_project.server.child import CALM_S, Child, Gate, describe_end
from tests.gateway import ROOT, wait_for


def test_pauses_grow_while_it_keeps_dying_and_shrink_after_a_calm_time() -> None:
    child = Child("false", ["false"])
    pauses = []
    for _ in range(9):
        child.start()
        code = wait_for(child.reap, 5)
        assert describe_end(code) == "ended with exit code 1"
        pauses.append(child.plan_restart())
        assert not child.is_due()
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    child.started -= CALM_S + 1
    assert child.plan_restart() == 0.1


def test_it_dies_with_the_process_that_started_it() -> None:
    code = (
        "from gateway_project.server.child import Child\n"
        "child = Child('sleep', ['sleep', '60'])\nchild.start()\nprint(child.pid, flush=True)\ninput()"
    )
    command = [sys.executable, "-c", code]
    parent = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 5, "the child outlived its parent")


BEATS = "import os, time; fd = int(os.environ['GATEWAY_HEARTBEAT_FD']); os.write(fd, b'R'); time.sleep(60)"


def test_a_silent_one_counts_as_hung_once_it_was_ready() -> None:
    child = Child("silent", [sys.executable, "-c", BEATS], hang_timeout_s=0.3)
    child.start()
    assert not child.ready
    wait_for(lambda: child.listen() or child.ready, 10)
    assert not child.is_hung()
    wait_for(child.is_hung, 2)
    child.signal(signal.SIGKILL)
    assert describe_end(wait_for(child.reap, 5)) == "was ended by SIGKILL"
    assert not child.ready


def test_it_waits_at_the_gate() -> None:
    gate = Gate()
    code = "import os; os.read(int(os.environ['GATEWAY_GATE_FD']), 1)"
    child = Child("waiting", [sys.executable, "-c", code], gate=gate)
    child.start()
    time.sleep(0.3)
    assert child.reap() is None
    gate.open()
    assert wait_for(lambda: child.reap() is not None or None, 5)
    child.command = [sys.executable, "-c", "import os; assert 'GATEWAY_GATE_FD' not in os.environ"]
    child.start()
    assert wait_for(lambda: str(code) if (code := child.reap()) is not None else None, 5) == "0"


@pytest.mark.parametrize(
    ("at_terminal", "no_color", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_are_for_terminals(at_terminal: bool, no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty() if at_terminal else os.pipe()
    code = "from gateway_project.server.terminal import Terminal; Terminal().banner('Ready', [('URL', 'http://x')])"
    env = os.environ | ({"NO_COLOR": no_color} if no_color else {})
    if not no_color:
        env.pop("NO_COLOR", None)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, stdout=theirs, check=True)
    os.close(theirs)
    said = os.read(ours, 4096)
    os.close(ours)
    assert (b"\033[" in said) == coloured
    assert b"Ready" in said
