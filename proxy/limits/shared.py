"""The counts that several hosts share, in Redis: one task a process asks, for all calls that wait, and nothing waits
long. While Redis is away, calls are told so at once; it is tried again in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from proxy.limits.limit import Limit, Verdict
from proxy.within import within

if TYPE_CHECKING:
    from proxy.fallbacks import Fallbacks

logger = logging.getLogger(__name__)
SCRIPT = Path(__file__).with_name("admit.lua").read_text()
# In braces: a cluster keeps all of them in one place, as a script needs it.
PREFIX = "mcp-gateway:{limits}:"
_BATCH = 64  # calls that go to Redis in one write
_QUIET_S = 5.0  # an idle connection is tried this often, so that no call has to find it dead
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_Waiting = tuple[Sequence[Limit], "asyncio.Future[Verdict | None]"]


class SharedCounts:
    """Asks Redis. `up` says whether it answers; `run` must be running for that.

    One task owns the one connection, so a call that is cancelled cannot leave an answer for another call to read.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._told_down = False
        self._sha = ""
        self.tried = asyncio.Event()  # set once Redis has been asked for the first time, whatever came of it
        self.up = False

    async def ask(self, limits: Sequence[Limit]) -> Verdict | None:
        """Count one call if it fits all `limits`; None when Redis does not answer in time."""
        future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((limits, future))
        self._wake.set()
        return await future

    async def run(self, fallbacks: Fallbacks) -> None:
        """Connect, serve, and begin anew whenever that fails, until cancelled."""
        pause = _FIRST_PAUSE_S
        while True:
            client = self._client()
            try:
                await self._open(client)
                pause = _FIRST_PAUSE_S
                self._say_up(fallbacks)
                await self._serve(client)
            except (RedisError, OSError, TimeoutError, ValueError) as error:
                self._say_down(error)
            except Exception as error:  # whatever it is, no call may wait for a task that is gone
                logger.exception("asking Redis failed")
                self._say_down(error)
            finally:
                self.up = False
                self.tried.set()
                self._release()
                await _close(client)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _client(self) -> Redis:
        # No retries: a call that was counted must not be counted again.
        return Redis.from_url(
            self._url,
            single_connection_client=True,
            # Time limits are ours (`within`).
            socket_connect_timeout=None,
            socket_timeout=None,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    async def _open(self, client: Redis) -> None:
        # Name resolution, TLS and sign-in included.
        self._sha = await within(max(self._timeout_s * 5, 1.0), client.script_load(SCRIPT))

    async def _serve(self, client: Redis) -> None:
        while True:
            try:
                async with asyncio.timeout(_QUIET_S):
                    await self._wake.wait()
            except TimeoutError:
                await within(self._timeout_s, client.ping())
                continue
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                try:
                    await self._answer(client, batch)
                finally:
                    _settle(batch)

    async def _answer(self, client: Redis, batch: list[_Waiting]) -> None:
        answers = await within(self._timeout_s, self._send(client, [limits for limits, _ in batch]))
        for (limits, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            if not future.done():
                future.set_result(_verdict(limits, answer))

    async def _send(self, client: Redis, calls: list[Sequence[Limit]]) -> list[Any]:
        answers = await self._pipeline(client, calls)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            # Somebody emptied Redis' scripts. None of these calls was counted, unless one before the emptying was.
            self._sha = await client.script_load(SCRIPT)
            lost = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            for number, answer in zip(lost, await self._pipeline(client, [calls[n] for n in lost]), strict=True):
                answers[number] = answer
        return answers

    async def _pipeline(self, client: Redis, calls: list[Sequence[Limit]]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for limits in calls:
            pipeline.evalsha(self._sha, len(limits), *_arguments(limits))
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        _settle(waiting)

    def _say_up(self, fallbacks: Fallbacks) -> None:
        self.up = True
        self.tried.set()
        if self._told_down:
            extra = {"decided_alone": fallbacks.alone, "refused": fallbacks.refused}
            logger.warning("Redis answers again; limits hold over all hosts", extra=extra)
        self._told_down = False

    def _say_down(self, error: Exception) -> None:
        if not self._told_down:
            # Not the error's text: it may hold the address with a password.
            logger.warning("Redis does not answer (%s); limits cannot be held over all hosts", type(error).__name__)
        self._told_down = True


def _arguments(limits: Sequence[Limit]) -> list[str | int]:
    """Return the keys and then the parameters of each limit, as the script takes them."""
    found: list[str | int] = [f"{PREFIX}{limit.digest:016x}" for limit in limits]
    for limit in limits:
        found += ("s" if limit.sliding else "t", limit.requests, limit.window_s * 1_000_000, limit.burst)
    return found


def _verdict(limits: Sequence[Limit], answer: Any) -> Verdict:
    admitted, number, remaining, reset_us, retry_us = answer
    return Verdict(limits[number - 1], admitted == 1, remaining, reset_us / 1e6, retry_us / 1e6)


def _settle(batch: list[_Waiting]) -> None:
    """Let go of whoever still waits."""
    for _, future in batch:
        if not future.done():
            future.set_result(None)


async def _close(client: Redis) -> None:
    try:
        async with asyncio.timeout(1):
            await client.aclose()
    except (RedisError, OSError, TimeoutError):
        pass
