"""A time limit for work of the background, which a loop that is busy with calls does not make run out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")
_WAITS = 5


async def within(seconds: float, work: Awaitable[Result]) -> Result:
    """Return what `work` returns. Raises TimeoutError, after so many seconds of a loop that is free to listen.

    In several waits: one that ends while the loop is busy must not pass for a silence of the other side, whose
    answer lies there unread.
    """
    task = asyncio.ensure_future(work)
    try:
        for _ in range(_WAITS):
            await asyncio.wait((task,), timeout=seconds / _WAITS)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=1)
