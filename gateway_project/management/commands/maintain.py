"""`maintain`: housekeeping, by exactly one process however many hosts there are."""

from __future__ import annotations

import logging
import os
import signal
import threading
from functools import partial
from typing import Any

import psycopg
from django import db
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from analytics.database import connect, direct_parameters, stand_back
from analytics.rollup_keeper import Keeper
from gateway_project import maintenance
from gateway_project.health_checks import HealthKeeper

logger = logging.getLogger("gateway.maintain")
# Any numbers that nothing else takes. The office is held for as long as a process maintains; the work is held for
# one round, so that `--once` and the holder of the office do not do the same at the same time.
OFFICE, _WORK = 0x6D63_7067_776D_6E01, 0x6D63_7067_776D_6E02
_TICK_S = 1.0
_STAND_BY_S = 5.0
_LEAVING_S = 2.0


class Command(BaseCommand):
    """Keep house until SIGTERM."""

    help = (
        "Add the log up, make and drop partitions, trim tables, look at upstreams. `serve` runs this; one process "
        "works at a time."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do everything now, once, and exit")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["once"]:
            with connect("gateway maintain --once") as connection:
                _work(connection, maintenance.jobs(once=True))
            _keeper().catch_up()
            return
        os.nice(settings.BACKGROUND_NICENESS)
        stop = threading.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: stop.set())
        keeper = _keeper()
        # A thread of its own: an upstream that hangs while it is probed must not hold the roll-ups up.
        rolling = threading.Thread(target=keeper.run, name="roll-ups", daemon=True)
        rolling.start()
        checks = HealthKeeper(partial(connect, "gateway health", direct_parameters()))
        checking = threading.Thread(target=checks.run, name="health", daemon=True)
        checking.start()
        jobs = maintenance.jobs()
        while not stop.is_set():
            try:
                with connect("gateway maintain") as connection:
                    _hold_office(connection, jobs, stop)
            except (psycopg.OperationalError, db.OperationalError) as error:
                logger.warning("housekeeping waits for the database: %s", str(error).strip())
                stop.wait(_STAND_BY_S)
        keeper.stop()
        checks.stop()
        rolling.join(_LEAVING_S)
        checking.join(_LEAVING_S)


def _keeper() -> Keeper:
    return Keeper(partial(_connect_behind, direct_parameters()), maintenance.rollup_retention())


def _connect_behind(parameters: dict[str, Any]) -> psycopg.Connection:
    connection = connect("gateway roll-ups", parameters)
    stand_back(connection)
    return connection


def _hold_office(connection: psycopg.Connection, jobs: list[maintenance.Job], stop: threading.Event) -> None:
    """Work while this connection holds the office; return to stand by when another host has it."""
    held = connection.execute("SELECT pg_try_advisory_lock(%s)", [OFFICE]).fetchone()
    if held is None or not held[0]:
        stop.wait(_STAND_BY_S)
        return
    while not stop.is_set():
        _work(connection, jobs)
        stop.wait(_TICK_S)
        connection.execute("SELECT 1")  # raises when the connection, and so the lock, is gone


def _work(connection: psycopg.Connection, jobs: list[maintenance.Job]) -> None:
    connection.execute("SELECT pg_advisory_lock(%s)", [_WORK])
    try:
        for job in jobs:
            job.run_if_due(connection)
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", [_WORK])
        db.connections.close_all()
