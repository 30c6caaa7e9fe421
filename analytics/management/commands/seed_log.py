"""`manage.py seed_log`: invented rows for the request log and its roll-ups, to measure queries and pages on."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from functools import partial

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from psycopg import sql

from analytics import partitions, seed_configuration, seed_names, seed_rows
from analytics.database import connect
from analytics.rollup_keeper import Keeper
from analytics.rollups import Retention

_SIZES = """
SELECT count(*), coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint, coalesce(sum(pg_relation_size(inhrelid)), 0)::bigint
FROM pg_inherits WHERE inhparent = %s::regclass
"""  # noqa: E501
_ROWS = sql.SQL("SELECT count(*) FROM {}")


class Command(BaseCommand):
    """Fills whole days before today, and today until now, and adds them up."""

    help = "Fill the request log with invented rows and add them up. For measuring, never beside real ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rows", type=int, default=10_000_000, help="How many rows (default 10,000,000).")
        parser.add_argument("--days", type=int, default=30, help="Over how many days up to now (default 30).")
        parser.add_argument("--namespaces", type=int, default=50, help="How many namespaces (default 50).")
        parser.add_argument("--users", type=int, default=500, help="How many users (default 500).")
        parser.add_argument("--tools", type=int, default=1000, help="How many tools in all (default 1,000).")
        parser.add_argument(
            "--configuration", action="store_true", help="Make the upstreams, namespaces and keys of the rows too."
        )

    def handle(self, *args: object, **options: int) -> None:
        rows, days = options["rows"], options["days"]
        if rows < days or days < 1:
            raise CommandError("Give at least one day, and at least one row a day.")
        if min(options["namespaces"], options["users"]) < 1 or options["tools"] < options["namespaces"]:
            raise CommandError("Give at least one user, one namespace, and as many tools as namespaces.")
        world = seed_names.world(options["namespaces"], options["users"], options["tools"] // options["namespaces"])
        self._began = time.monotonic()
        with connect("gateway seed_log") as connection:
            if connection.execute("SELECT 1 FROM analytics_requestlog LIMIT 1").fetchone():
                raise CommandError("The request log is not empty; invented rows are not mixed with real ones.")
            # Roll-ups of an empty log: a gateway has run here without a call.
            connection.execute("DELETE FROM analytics_rollupstate")
            if options["configuration"]:
                self._say(f"{seed_configuration.create(world, settings.KEY_PEPPERS[0]):,} keys made")
            filled = self._fill(connection, world, rows, days)
            self._roll_up()
            connection.execute("ANALYZE")
            self._say(f"{filled:,} rows over {days} days, added up and analysed")
            self._tell_sizes(connection)

    def _say(self, text: str) -> None:
        self.stdout.write(f"{time.monotonic() - self._began:7.1f} s  {text}")
        self.stdout.flush()

    def _fill(self, connection: psycopg.Connection, world: seed_names.World, rows: int, days: int) -> int:
        now = datetime.now(UTC)
        seed_rows.prepare(connection, world)
        filled = 0
        for day, hours in seed_rows.rhythm(rows, days, now).items():
            filled += seed_rows.fill(connection, world, day, hours, now.date())
            self._say(f"{day}: {filled:,} rows, {100 * filled / rows:.0f} %")
        connection.execute("ANALYZE analytics_requestlog")
        return filled

    def _roll_up(self) -> None:
        retention = Retention(settings.MINUTE_RETENTION_DAYS, settings.HOUR_RETENTION_DAYS, settings.DAY_RETENTION_DAYS)
        step = Keeper(partial(connect, "gateway seed_log"), retention, self._say).catch_up()
        self._say(f"added up to {step.rolled_to:%Y-%m-%d %H:%M:%S}")

    def _tell_sizes(self, connection: psycopg.Connection) -> None:
        self.stdout.write(f"{'table':<26}{'partitions':>11}{'rows':>14}{'MB':>9}{'with indexes, MB':>18}")
        for of in partitions.ALL:
            number, total, plain = connection.execute(_SIZES, (of.table,)).fetchone() or (0, 0, 0)
            count = connection.execute(_ROWS.format(sql.Identifier(of.table))).fetchone()
            self.stdout.write(
                f"{of.table:<26}{number:>11}{count[0] if count else 0:>14,}{plain / 1e6:>9,.1f}{total / 1e6:>18,.1f}"
            )
