"""`manage.py seed_log`: invented rows for the request log, to measure queries and pages on."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta

import psycopg
from django.core.management.base import BaseCommand, CommandError
from psycopg import sql

from analytics import partitions
from analytics.database import connect

# A few busy namespaces, users and tools and many quiet ones; 4 % of calls do not end well.
_ROWS = """
INSERT INTO {table} (id, at, namespace, upstream, key_id, user_id, method, tool, outcome, reason, http_status,
    jsonrpc_code, total_us, upstream_us, first_byte_us, request_bytes, response_bytes, protocol_version, client_name,
    session, client_address, request_id, trace_id)
SELECT md5(day || '-' || number || '-' || luck)::uuid, at, 'ns-' || namespace, 'upstream-' || namespace %% 12, who, 'user-' || who,
    CASE WHEN is_call THEN 'tools/call' ELSE 'tools/list' END, CASE WHEN is_call THEN 'tool-' || tool END, outcome,
    CASE outcome WHEN 'denied' THEN 'tool_denied' WHEN 'timeout' THEN 'first_byte_timeout' END,
    CASE outcome WHEN 'limited' THEN 429 WHEN 'timeout' THEN 504 ELSE 200 END,
    CASE outcome WHEN 'ok' THEN NULL WHEN 'limited' THEN -31429 ELSE -32603 END,
    took, took * 9 / 10, took * 8 / 10, 200 + (luck * 400)::int, 300 + (luck * luck * 20000)::int, '2025-11-25',
    'client-' || who %% 9, md5(who::text), '10.0.' || who %% 250 || '.7', md5(number || 'r' || luck),
    md5(number || 't' || luck)
FROM (
    SELECT number, %(day)s::text AS day, %(begin)s::timestamptz + number * %(step)s::interval AS at, random() AS luck,
        floor(20 * power(random(), 2))::int AS namespace, 1 + floor(200 * power(random(), 2))::int AS who,
        floor(150 * power(random(), 3))::int AS tool, random() < 0.9 AS is_call,
        (2000 - 4000 * ln(1 - random()))::bigint AS took,
        CASE WHEN random() < 0.96 THEN 'ok'
             ELSE (ARRAY['tool_error', 'rpc_error', 'denied', 'limited', 'timeout', 'upstream_error'])[1 + floor(random() * 6)::int]
        END AS outcome
    FROM generate_series(0, %(count)s - 1) AS number
) AS invented
"""  # noqa: E501


class Command(BaseCommand):
    """Fills whole days before today, and today until now, evenly."""

    help = "Fill the request log with invented rows. For measuring, never beside real ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rows", type=int, default=1_000_000, help="How many rows (default 1,000,000).")
        parser.add_argument("--days", type=int, default=30, help="Over how many days up to now (default 30).")

    def handle(self, *args: object, **options: int) -> None:
        rows, days = options["rows"], options["days"]
        if rows < days or days < 1:
            raise CommandError("Give at least one day, and at least one row a day.")
        began = time.monotonic()
        with connect("gateway seed_log") as connection:
            if connection.execute("SELECT 1 FROM analytics_requestlog LIMIT 1").fetchone():
                raise CommandError("The request log is not empty; invented rows are not mixed with real ones.")
            now = datetime.now(UTC)
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            for back in range(days - 1, -1, -1):
                day = midnight - timedelta(days=back)
                count = rows // days if back else rows - rows // days * (days - 1)
                self._fill(connection, day, timedelta(days=1) if back else now - midnight, count)
                if options["verbosity"] > 1:
                    self.stdout.write(f"{day.date()}: {count:,} rows")
            connection.execute("ANALYZE analytics_requestlog")
        self.stdout.write(f"{rows:,} rows over {days} days in {time.monotonic() - began:.1f} s.")

    @staticmethod
    def _fill(connection: psycopg.Connection, day: datetime, span: timedelta, count: int) -> None:
        """Fill a table without indexes and attach it then, which is several times faster than the other way round."""
        table = sql.Identifier(partitions.partition_name(day.date()))
        parameters = {"day": str(day.date()), "begin": day, "step": span / count, "count": count}
        with connection.transaction():
            connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(table, sql.Identifier(partitions.TABLE)))
            connection.execute(sql.SQL(_ROWS).format(table=table), parameters)
            partitions.attach(connection, day.date())
