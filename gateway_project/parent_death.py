"""A child that cannot outlive its parent: PR_SET_PDEATHSIG, set between fork and exec."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
# Looked up here and not in the child: between fork and exec as little as possible may happen.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def die_with_parent(signum: signal.Signals = signal.SIGKILL, *, held_back: bool = False) -> Callable[[], None]:
    """Return a `preexec_fn` after which the kernel sends `signum` to the child when its parent dies.

    `held_back`: the child starts with `signum` blocked, so that one that comes while it still loads its code waits
    for its handler; the child unblocks it then.
    The kernel means the *thread* that forked, so start such children from the main thread. A parent that
    died before the call took effect is found by comparing its id.
    """
    parent = os.getpid()

    def prepare() -> None:
        if held_back:
            signal.pthread_sigmask(signal.SIG_BLOCK, (signum,))
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
