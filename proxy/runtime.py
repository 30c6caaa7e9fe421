"""What one process owns: the snapshot, the clients, the recorder, the tasks that keep them; start and stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from django.conf import settings
from django.db import connections

from analytics import live_feed
from analytics.database import direct_parameters
from analytics.metrics import cells, session_table
from analytics.record import RequestRecord
from analytics.recorder import Recorder
from namespaces import catalogue, circuits
from namespaces.circuits import CircuitTable
from proxy.access_log import AccessLog
from proxy.bare import UpstreamState
from proxy.breaker import Breaker
from proxy.concurrency import Concurrency
from proxy.deadline import DeadlineSweep
from proxy.discovery import Discovery
from proxy.entries import UpstreamEntry
from proxy.fallbacks import Fallbacks
from proxy.health_board import HealthBoard
from proxy.limits.limiter import Limiter
from proxy.limits.table import LimitTable
from proxy.metrics import CallMetrics, ProcessMetrics
from proxy.origin import OriginPolicy
from proxy.places import Places
from proxy.quotas.purses import Purses
from proxy.repeats import Repeats
from proxy.sessions import SessionSeal
from proxy.snapshot import Snapshot
from proxy.strangers import Strangers
from proxy.stream_counts import StreamCounts
from proxy.streams import Streams
from proxy.upstream import UpstreamClient
from proxy.watcher import SnapshotWatcher

if TYPE_CHECKING:
    from proxy.exchange import Exchange

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
TICK_S = 1.0
LAG_PROBE_S = 0.1


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The settings that every request is held against, read once."""

    max_request_bytes: int
    max_event_bytes: int
    max_json_depth: int
    list_ttl_ms: int


class Runtime:
    """One process's data plane. `start` is called by the server's lifespan, or by the first request without one."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.draining = False
        self.in_flight = 0
        self.started = False
        self._starting: asyncio.Lock | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._states: dict[int, UpstreamState] = {}
        self._first_snapshot: asyncio.Event | None = None

    async def start(self) -> None:
        """Open everything and wait a moment for the first snapshot. Starting twice does nothing."""
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self.started:
                return
            self._build()
            self.started = True
        # What is loaded by now stays; the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        assert self._first_snapshot is not None  # noqa: S101
        try:
            async with asyncio.timeout(10):
                await self._first_snapshot.wait()
                await self.limiter.settle()
        except TimeoutError:
            logger.warning("no configuration yet; the gateway answers 503 until the database can be read")

    def _build(self) -> None:
        loop = asyncio.get_running_loop()
        # Not loop.time(): uvloop keeps it to the millisecond, once an iteration.
        self.loop, self.clock, self.call_later = loop, time.monotonic, loop.call_later
        self.sweep = DeadlineSweep(self.clock, self.call_later)
        self.keep_alive_s = settings.KEEP_ALIVE_COMMENT_S
        self._stale_limit_s = settings.STALE_LIMIT_S
        self.peppers = tuple(settings.KEY_PEPPERS)
        self.limits = RequestLimits(
            settings.MAX_REQUEST_BYTES, settings.MAX_EVENT_BYTES, settings.MAX_JSON_DEPTH, settings.LIST_TTL_MS
        )
        self.origin = OriginPolicy(settings.ALLOWED_HOSTS, settings.ALLOWED_ORIGINS, settings.PUBLIC_URL)
        self.seal = SessionSeal(settings.ENCRYPTION_KEYS)
        # `serve` names the file that its workers share; a process without it counts for itself.
        shared = os.environ.get("GATEWAY_RATELIMIT_FILE")
        table = Path(shared) if shared else None
        alone = os.environ.get("GATEWAY_WORKER_COUNT", "1") == "1"
        self.cells = cells.open_for_process(table.parent / "metrics" if table else None)
        self.limiter = _limiter(table, alone, Fallbacks("redis", self.cells))
        closed = settings.QUOTA_DOWN == "closed"
        self.quotas = Purses(_connect, closed=closed, fallbacks=Fallbacks("database", self.cells))
        self.streams = Streams(settings.STREAMS_PER_KEY, _stream_counts(table.parent if table else None))
        self.concurrency = Concurrency(_places(table.parent if table else None), self.clock, self.call_later)
        self.circuits = CircuitTable(table.parent / circuits.FILE if table else None, alone=alone)
        self.repeats = Repeats(table.parent / "repeats" if table else None, self.peppers, alone=alone)
        failures = table.parent / "strangers" if table else None
        self.strangers = Strangers(settings.FAILED_CREDENTIALS_PER_MINUTE, failures, alone=alone)
        self.recorder = Recorder(
            settings.JOURNAL_DIR, settings.JOURNAL_MAX_BYTES, settings.JOURNAL_FULL, settings.JOURNAL_FSYNC
        )
        self.sessions = session_table.open_for_process(self.cells.directory, _worker()[0])
        self.metrics = CallMetrics(self.cells)
        self.process = ProcessMetrics(self.cells, os.environ.get("GATEWAY_WORKER_INDEX", "0"))
        self.access_log = (
            AccessLog(self.call_later, plain=settings.LOG_FORMAT == "text") if settings.ACCESS_LOG else None
        )
        self._thread = ThreadPoolExecutor(1, "configuration")
        self._first_snapshot = asyncio.Event()
        self.discovery = Discovery(self, catalogue.observe)
        self.health = HealthBoard(self.in_thread, self.clock)
        self.watcher = SnapshotWatcher(_connect, self.in_thread, self._swap, self._upstream_up)
        upkeep = (
            *(self.watcher.run(), self.discovery.run(), self.limiter.run(), self.quotas.run()),
            *(self._tend(), self._probe_lag()),
        )
        self._tasks = [asyncio.create_task(work) for work in upkeep]

    async def stop(self) -> None:
        """Close everything, the journal last, so that whatever is still answered is still recorded."""
        if not self.started:
            return
        self.started = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(state.close() for state in self._states.values()), return_exceptions=True)
        self._states.clear()
        if self.access_log is not None:
            self.access_log.flush()
        self.recorder.close()
        self.limiter.close()
        self.strangers.close()
        self.streams.close()
        self.cells.close()
        self.sessions.close()
        self.concurrency.close()
        self.circuits.close()
        self.repeats.close()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._starting = None

    # -- readiness and drain --

    @property
    def ready(self) -> bool:
        """Whether calls can be served: a snapshot is there that is not too old, and the process is not going."""
        return self.usable is not None and not self.draining

    @property
    def usable(self) -> Snapshot | None:
        """The snapshot in force; None before the first, and once the database was silent for too long."""
        if self.snapshot is None or self.clock() - self.watcher.confirmed_at > self._stale_limit_s:
            return None
        return self.snapshot

    def begin_drain(self) -> None:
        """Say no on /ready from now on; calls are still served."""
        self.draining = True

    async def end_streams(self) -> None:
        """End the streams that would never end by themselves, with their last chunk."""
        if self.started:
            self.streams.end_standing("shutdown")
            await asyncio.sleep(0)

    # -- what requests use --

    def write(self, exchange: Exchange) -> None:
        """Put a call's record on the journal and its line on the access log, and count it."""
        record = exchange.record
        dropped = self.recorder.dropped
        if not self.recorder.put(record):
            self.metrics.dropped("full" if self.recorder.dropped > dropped else "failed")
        self.metrics.count(exchange)
        if record.session is not None:
            self._note_session(record)
        if self.access_log is not None:
            self.access_log.write(record)

    def _note_session(self, record: RequestRecord) -> None:
        """Note that a client uses its session, or that it is over: ended there, or forgotten by the upstream."""
        assert record.session is not None  # noqa: S101
        if record.http_status == 404 or (record.method == "DELETE" and record.outcome == "ok"):
            self.sessions.end(record.session, self.clock())
        else:
            self.sessions.note(record.session, self.clock())

    def upstream_state(self, entry: UpstreamEntry) -> UpstreamState:
        """Return what this process holds for an upstream; anew when its address or credentials changed."""
        state = self._states.get(entry.id)
        if state is not None and state.entry is entry:
            return state
        if state is None or state.client.identity != entry.identity:
            if state is not None:
                self._retire(state)
            state = self._states[entry.id] = UpstreamState(entry, UpstreamClient(entry), self.clock)
        state.entry = entry
        state.breaker = Breaker(self.circuits, entry.id, entry.breaking) if entry.breaking is not None else None
        return state

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Run database work in the one thread that this process keeps for it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _with_connection, work)

    # -- upkeep --

    def _swap(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        if self._first_snapshot is not None:
            self._first_snapshot.set()
        for upstream_id in [known for known in self._states if known not in snapshot.upstreams]:
            self._retire(self._states.pop(upstream_id))
        self.streams.end_withdrawn(snapshot, time.time())
        self.streams.review(snapshot)
        live_feed.feed.review()

    def _upstream_up(self, upstream_id: int, notice: int) -> None:
        """A check found an upstream well: its breaker lets probes pass at once."""
        entry = self.snapshot.upstreams.get(upstream_id) if self.snapshot is not None else None
        if entry is not None and (breaker := self.upstream_state(entry).breaker) is not None:
            breaker.heed(notice)

    def _retire(self, state: UpstreamState) -> None:
        """Close a state that is no longer used, once the calls that still use it are over."""

        def close() -> None:
            self._tasks.append(asyncio.ensure_future(state.close()))

        self.call_later(state.entry.deadlines.total_s, close)

    async def _tend(self) -> None:
        """Each second: end streams of expired keys, idle sessions, old journal files."""
        while True:
            await asyncio.sleep(TICK_S)
            if self.snapshot is not None:
                self.streams.end_withdrawn(self.snapshot, time.time())
            self.recorder.tidy()
            now = self.clock()
            for digest in self.streams.sessions():
                self.sessions.note(digest, now)
            age_s = now - self.watcher.confirmed_at
            self.process.publish(self.in_flight, self.streams.count, age_s)
            self._tasks = [task for task in self._tasks if not task.done()]
            for state in list(self._states.values()):
                state.budget.tick()
                # Ending a session may take as long as its upstream likes; the tick goes on.
                self._tasks.append(asyncio.create_task(_quietly(state.expire(settings.BARE_SESSION_IDLE_S))))

    async def _probe_lag(self) -> None:
        """Look each tenth of a second how late the event loop wakes up what is due (P31)."""
        while True:
            due = self.clock() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            now = self.clock()
            self.process.note_lag(now - due, now)


def _limiter(path: Path | None, alone: bool, fallbacks: Fallbacks) -> Limiter:
    table = LimitTable(path, alone=alone)
    if not settings.REDIS_URL:
        return Limiter(table, fallbacks=fallbacks)
    from proxy.limits.shared import SharedCounts  # the client of Redis is loaded only where it is used

    shared = SharedCounts(settings.REDIS_URL, settings.REDIS_TIMEOUT_S)
    return Limiter(table, shared, closed=settings.RATE_LIMIT_DOWN == "closed", fallbacks=fallbacks)


def _worker() -> tuple[int, int]:
    """Return this worker's number from 0, and how many there are."""
    return int(os.environ.get("GATEWAY_WORKER_INDEX", "0")), int(os.environ.get("GATEWAY_WORKER_COUNT", "1"))


def _stream_counts(directory: Path | None) -> StreamCounts:
    return StreamCounts(directory, *_worker())


def _places(directory: Path | None) -> Places:
    return Places(directory / "places" if directory else None, *_worker())


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:
        logger.warning("upkeep failed: %s", type(error).__name__)


async def _connect() -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        **direct_parameters() | {"autocommit": True, "application_name": "gateway worker"}
    )


def _with_connection(work: Callable[[], Result]) -> Result:
    try:
        return work()
    finally:
        connections.close_all()


runtime = Runtime()
