"""The database before anything else runs: reachable, and at this version's schema."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from analytics.database import connect

_LOCK = 0x6D63_7067_776D_6967  # "mcpgwmig": any number that nothing else takes
_PATIENCE_S = 30.0


class DatabaseUnreachable(Exception):
    """The database named by DATABASE_URL does not answer; the message says what it said."""


def wait(say: Callable[[str], None]) -> None:
    """Return when the database answers. Raises DatabaseUnreachable after half a minute."""
    deadline = time.monotonic() + _PATIENCE_S
    said = False
    while True:
        try:
            connect("gateway serve").close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise DatabaseUnreachable(
                    f"The database does not answer: {str(error).strip()}\nCheck DATABASE_URL and that the server runs."
                ) from None
            if not said:
                say("waiting for the database")
            said = True
            time.sleep(0.5)
        else:
            return


def migrate(say: Callable[[str], None]) -> int:
    """Apply what is missing and return the number of migrations. Several hosts may start at once: one migrates."""
    with connect("gateway migrate") as direct:
        direct.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            say(f"bringing the database to this version ({len(plan)} migrations)")
            call_command("migrate", verbosity=0, interactive=False)
    connection.close()
    return len(plan)
