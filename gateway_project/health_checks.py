"""Active checks of upstreams: each when its time has come, in threads, so that one that hangs delays no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

import psycopg
from django import db
from django.conf import settings
from django.utils import timezone

from analytics import queries
from analytics.queries import View
from keys.visibility import Scope
from namespaces import catalogue, circuits, health, probe
from namespaces.circuits import Seen
from namespaces.health import NO_TRAFFIC, Traffic
from namespaces.health_models import Health
from namespaces.models import Upstream

logger = logging.getLogger("gateway.health")
# Any number that nothing else takes; who holds it checks, among all hosts.
OFFICE = 0x6D63_7067_776D_6E04
TICK_S = 0.5
AT_ONCE = 16
DEADLINE_S = 10.0
_STAND_BY_S = 5.0
_TRAFFIC_WINDOW = timedelta(minutes=1)
_TRAFFIC_EVERY_S = 10.0
# A check that the traffic asks for comes at most so often; and so often those of an upstream that is away, whose calls
# are held back until a check passes.
_URGENT_EVERY_S, _AWAY_EVERY_S = 5.0, 2.0


def recent_traffic() -> dict[str, Traffic]:
    """Return what the last minute or two of calls say of each upstream."""
    with queries.reading() as reading:
        view = View(reading.now - _TRAFFIC_WINDOW, reading.now, Scope())
        found = queries.upstream_calls(reading, view)
    return {slug: Traffic(one.calls, one.failed, one.reason) for slug, one in found.items()}


def check_all() -> str:
    """Check every enabled upstream and read its lists, once; return what changed, in words."""
    upstreams = list(Upstream.objects.filter(enabled=True).select_related("status"))
    before = {upstream.pk: health.current(upstream) for upstream in upstreams}
    traffic, said = recent_traffic(), []
    for upstream, result in zip(upstreams, probe.probe_many(upstreams), strict=True):
        catalogue.record(upstream, result, traffic.get(upstream.slug, NO_TRAFFIC))
        upstream.refresh_from_db()
        if upstream.status.health != before[upstream.pk]:
            said.append(_said(upstream, result.message))
    return "; ".join(said)


def _said(upstream: Upstream, why: str) -> str:
    now = upstream.status.health
    return f"{upstream} is {now}" if now == Health.ONLINE else f"{upstream} is {now}: {why}"


class HealthKeeper:
    """Checks upstreams while this process is the one among all that does. `run` in a thread, `stop` from any other."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        """Take what opens a connection in autocommit mode, for the lock."""
        self._connect = connect
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(AT_ONCE, "health")
        self._running: dict[int, Future[None]] = {}
        self._begun_at: dict[int, float] = {}  # of the last check
        self._listed_at: dict[int, float] = {}  # of the last look at the lists
        self._seen: dict[int, datetime] = {}  # when an upstream's configuration had last changed
        self._circuits: dict[int, Seen] = {}
        self._traffic: dict[str, Traffic] = {}
        self._traffic_at = float("-inf")

    def run(self) -> None:
        """Work until `stop`, through any number of lost connections."""
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    self._serve(connection)
            except (psycopg.OperationalError, db.OperationalError) as error:
                logger.warning("the checks of upstreams wait for the database: %s", str(error).strip())
            except Exception:
                logger.exception("the checks of upstreams failed; they go on in %.0f s", _STAND_BY_S)
            finally:
                db.connections.close_all()
            self._stop.wait(_STAND_BY_S)

    def stop(self) -> None:
        """Ask `run` to return; checks that are under way are not waited for."""
        self._stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _serve(self, connection: psycopg.Connection) -> None:
        held = connection.execute("SELECT pg_try_advisory_lock(%s)", (OFFICE,)).fetchone()
        while held == (True,) and not self._stop.is_set():
            self._tend(list(Upstream.objects.filter(enabled=True).select_related("status")))
            self._stop.wait(TICK_S)
            connection.execute("SELECT 1")  # raises when the connection, and so the lock, is gone

    def _tend(self, upstreams: Sequence[Upstream]) -> None:
        """Begin the checks that are due."""
        now = time.monotonic()
        self._circuits = circuits.seen([upstream.pk for upstream in upstreams])
        if now - self._traffic_at >= _TRAFFIC_EVERY_S:
            self._traffic, self._traffic_at = recent_traffic(), now
        for upstream in upstreams:
            if upstream.pk not in self._running and self._is_due(upstream, now):
                self._begin(upstream, now)

    def _is_due(self, upstream: Upstream, now: float) -> bool:
        every_s = health.interval_s(upstream)
        if not every_s:
            return False
        last = self._begun_at.get(upstream.pk)
        if last is None:
            # Another process may have looked a moment ago; but nobody has read the lists for us yet.
            return True
        if self._seen.get(upstream.pk) != upstream.updated_at:
            return True
        if self._is_away(upstream):
            every_s = min(every_s, _AWAY_EVERY_S)
        elif self._contradicts(upstream):
            every_s = min(every_s, _URGENT_EVERY_S)
        return now - last >= every_s

    def _is_away(self, upstream: Upstream) -> bool:
        """Return whether the last check failed, or calls on this host are held back."""
        status = getattr(upstream, "status", None)
        return (status is not None and not status.ok) or self._circuits[upstream.pk].state != circuits.CLOSED

    def _contradicts(self, upstream: Upstream) -> bool:
        """Return whether the traffic says something else than the last check did."""
        status = getattr(upstream, "status", None)
        is_failing = self._traffic.get(upstream.slug, NO_TRAFFIC).is_failing
        return status is not None and status.health == (Health.ONLINE if is_failing else Health.DEGRADED)

    def _begin(self, upstream: Upstream, now: float) -> None:
        listed = self._listed_at.get(upstream.pk, float("-inf"))
        lists = settings.PROBE_INTERVAL_S > 0 and now - listed >= settings.PROBE_INTERVAL_S
        if self._seen.get(upstream.pk) != upstream.updated_at:
            lists = settings.PROBE_INTERVAL_S > 0
        self._begun_at[upstream.pk], self._seen[upstream.pk] = now, upstream.updated_at
        if lists:
            self._listed_at[upstream.pk] = now
        traffic = self._traffic.get(upstream.slug, NO_TRAFFIC)
        future = self._running[upstream.pk] = self._threads.submit(self._check, upstream, lists, traffic)
        future.add_done_callback(lambda _, pk=upstream.pk: self._running.pop(pk, None))  # type: ignore[misc]

    def _check(self, upstream: Upstream, lists: bool, traffic: Traffic) -> None:
        """Check one upstream and store what was found, unless it was deleted meanwhile."""
        try:
            before = health.current(upstream)
            deadline_s = probe.DEADLINE_S if lists else DEADLINE_S
            result = probe.check(upstream, lists=lists, deadline_s=deadline_s)
            if not Upstream.objects.filter(pk=upstream.pk).exists():
                return
            catalogue.record(upstream, result, traffic)
            if not result.ok:
                self._listed_at.pop(upstream.pk, None)  # it may list something else once it is back
            now = Upstream.objects.select_related("status").get(pk=upstream.pk)
            if now.status.health != before:
                level = logging.INFO if now.status.health == Health.ONLINE else logging.WARNING
                logger.log(level, "%s", _said(now, result.message), extra={"upstream": upstream.slug})
        except (psycopg.OperationalError, db.OperationalError) as error:
            logger.warning("a check of %s could not be stored: %s", upstream, str(error).strip())
        except Exception:
            logger.exception("a check of %s failed inside the gateway", upstream)
        finally:
            db.connections.close_all()


def drop_old_history() -> int:
    """Delete what is older than GATEWAY_HEALTH_RETENTION_DAYS; return how many spans that was."""
    return health.forget_before(timezone.now() - timedelta(days=settings.HEALTH_RETENTION_DAYS))
