"""The jobs that keep house, each with its interval; `manage.py maintain` runs them on one host among all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from analytics import partitions, rollups
from analytics.rollups import Retention
from gateway_project import health_checks
from keys.quota_models import forget_uses
from namespaces.models import ConfigurationChange

logger = logging.getLogger("gateway.maintain")
_CHANGES_KEPT = timedelta(days=1)


@dataclass(slots=True)
class Job:
    """Something to do each `every_s` seconds; `run` gets a direct connection in autocommit mode."""

    name: str
    every_s: float
    run: Callable[[psycopg.Connection], object]
    due_at: float = 0.0

    def run_if_due(self, connection: psycopg.Connection) -> None:
        """Run it when its time has come; an error is logged and does not stop the other jobs."""
        if time.monotonic() < self.due_at:
            return
        try:
            done = self.run(connection)
        except psycopg.OperationalError:
            raise  # the connection is gone, and with it the lock that lets us work
        except Exception:
            logger.exception("the job %s failed; it is tried again in %.0f s", self.name, self.every_s)
        else:
            if done:
                logger.info("%s: %s", self.name, done)
        self.due_at = time.monotonic() + self.every_s


def jobs(*, once: bool = False) -> list[Job]:
    """Return all jobs, due at once, the most needed first.

    Args: once: with a look at every upstream, which otherwise has threads of its own (see health_checks.py).
    """
    found = [
        Job("partitions ahead", settings.HOUSEKEEPING_INTERVAL_S, _make_partitions),
        Job("old log rows", settings.HOUSEKEEPING_INTERVAL_S, _drop_old_rows),
        Job("old roll-ups", settings.HOUSEKEEPING_INTERVAL_S, _drop_old_rollups),
        Job("old health history", settings.HOUSEKEEPING_INTERVAL_S, _drop_old_health),
        Job("old counters of quotas", settings.HOUSEKEEPING_INTERVAL_S, _drop_old_quota_uses),
        Job("old change marks", settings.HOUSEKEEPING_INTERVAL_S, _trim_changes),
        Job("expired sign-ins", settings.HOUSEKEEPING_INTERVAL_S, _clear_sessions),
    ]
    if once and settings.PROBE_INTERVAL_S:
        found.append(Job("upstreams", settings.PROBE_INTERVAL_S, _look_at_upstreams))
    return found


def rollup_retention() -> Retention:
    """Return how long each grain of the roll-ups is kept, from the settings."""
    return Retention(settings.MINUTE_RETENTION_DAYS, settings.HOUR_RETENTION_DAYS, settings.DAY_RETENTION_DAYS)


def _make_partitions(connection: psycopg.Connection) -> int:
    return partitions.create_ahead(connection, of=partitions.ALL)


def _drop_old_rows(connection: psycopg.Connection) -> int:
    return partitions.drop_behind(connection, settings.LOG_RETENTION_DAYS)


def _drop_old_rollups(connection: psycopg.Connection) -> int:
    return rollups.drop_old(connection)


def _trim_changes(_: psycopg.Connection) -> int:
    """Drop old marks of configuration changes, never the newest: workers compare it with theirs."""
    newest = ConfigurationChange.objects.order_by("-id").values_list("id", flat=True).first() or 0
    old = ConfigurationChange.objects.filter(at__lt=timezone.now() - _CHANGES_KEPT, id__lt=newest)
    return old.delete()[0]


def _clear_sessions(_: psycopg.Connection) -> None:
    call_command("clearsessions")


def _drop_old_health(_: psycopg.Connection) -> int:
    return health_checks.drop_old_history()


def _drop_old_quota_uses(_: psycopg.Connection) -> int:
    return forget_uses(datetime.now(UTC).date() - timedelta(days=settings.QUOTA_RETENTION_DAYS))


def _look_at_upstreams(_: psycopg.Connection) -> str:
    return health_checks.check_all()
