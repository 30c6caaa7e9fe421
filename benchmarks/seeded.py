"""A gateway on a log that is full already: the data directory, its seeding, and the roll-ups brought up to date."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
import psycopg
import yaml

from analytics import rollups
from benchmarks import machine
from tests.gateway import Gateway
from tests.upstreams.listening import started

DAYS = 30
NAMESPACE = "bench-calls"
KEY = "mcpgw-benchmark-0123456789abcdef0123456789"
# Rows that are this old when the measuring begins are as good as new.
FRESH_S = 120.0
_CATCH_UP_S = 1800.0


@dataclass(frozen=True, slots=True)
class Seeded:
    """A gateway with one worker before a full log, and what the log held when it was seeded."""

    gateway: Gateway
    rows: int
    seeding_s: float


def adopt(data_dir: Path) -> None:
    """Make this process one of the data directory's: same database, same secrets. Django is set up afterwards.

    So pages can be asked for in-process on the very tables that the gateway shows.
    """
    for name in [name for name in os.environ if name.startswith(("GATEWAY_", "DATABASE_"))]:
        del os.environ[name]
    os.environ["GATEWAY_ENV_FILE"] = os.devnull
    os.environ["GATEWAY_DATA_DIR"] = str(data_dir)
    os.environ["GATEWAY_LOG_LEVEL"] = "error"  # of this process; the gateway has a log of its own
    # Named before Django starts: tests.gateway would otherwise take over the settings of the tests.
    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway_project.settings"
    django.setup()
    from django.conf import settings

    os.environ["GATEWAY_SECRET_KEY"] = settings.SECRET_KEY
    os.environ["GATEWAY_ENCRYPTION_KEYS"] = ",".join(settings.ENCRYPTION_KEYS)
    os.environ["GATEWAY_KEY_PEPPER"] = ",".join(settings.KEY_PEPPERS)


@contextlib.contextmanager
def running(data_dir: Path, rows: int) -> Iterator[Seeded]:
    """Serve the directory, seeded with `rows` rows first when it is new; yield once the roll-ups are up to date."""
    from gateway_project import postgres

    seeding_s = 0.0 if (data_dir / "postgres").exists() else _seed(rows)
    with contextlib.ExitStack() as stack:
        stack.enter_context(postgres.running(data_dir))
        upstream = stack.enter_context(started("tests.upstreams.echo_fast"))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        arguments = ("--config", str(_configuration(scratch, upstream)))
        gateway = Gateway(data_dir=data_dir, env=_ENVIRONMENT, arguments=arguments)
        gateway.log_path = scratch / "gateway.log"
        stack.callback(gateway.close)
        gateway.start(ready_within_s=_CATCH_UP_S)
        await_rollups(gateway)
        yield Seeded(gateway, _count(gateway), seeding_s)


# The callers' and readers' own limits must not be what is measured; the seeded upstreams are not there to be probed.
_ENVIRONMENT = {"GATEWAY_REST_RATE": "1000000/m", "GATEWAY_PROBE_INTERVAL_S": "0", "GATEWAY_ACCESS_LOG": "true"}


def _configuration(directory: Path, upstream: str) -> Path:
    """Write what is added to the seeded configuration: a namespace that really answers, and a key for it."""
    path = directory / "gateway.yaml"
    added = {
        "version": 1,
        "upstreams": {NAMESPACE: {"url": upstream, "era": "legacy"}},
        "namespaces": {NAMESPACE: {"upstream": NAMESPACE}},
        "keys": [{"user_id": NAMESPACE, "key": KEY, "namespaces": [NAMESPACE]}],
    }
    path.write_text(yaml.safe_dump(added))
    return path


def _seed(rows: int) -> float:
    """Fill the directory that this process has adopted; return how long that took, in seconds."""
    begun = time.monotonic()
    command = [sys.executable, "manage.py", "seed_log", "--rows", str(rows), "--days", str(DAYS), "--configuration"]
    subprocess.run(command, cwd=machine.ROOT, check=True)
    return time.monotonic() - begun


def lag_s(gateway: Gateway) -> float | None:
    """Return how far the roll-ups are behind the clock, in seconds; None before there are any."""
    with psycopg.connect(gateway.sql_url, autocommit=True) as connection:
        return rollups.lag_s(connection)


def await_rollups(gateway: Gateway, within_s: float = 15.0) -> None:
    """Return once the roll-ups are no more than `within_s` behind. Raises AssertionError when they do not get there."""
    deadline = time.monotonic() + _CATCH_UP_S
    while (behind := lag_s(gateway)) is None or behind > within_s:
        assert time.monotonic() < deadline, f"the roll-ups are {behind} s behind:\n{gateway.output()[-3000:]}"
        time.sleep(0.5)


def newest(gateway: Gateway) -> datetime:
    """Return when the last row of the seeded traffic began."""
    ((at,),) = gateway.query("SELECT max(at) FROM analytics_requestlog WHERE namespace <> %s", NAMESPACE)
    return at.astimezone(UTC)


def gap(gateway: Gateway) -> timedelta:
    """Return the time between the last row and now, when it is long enough to matter; else none at all."""
    found = datetime.now(UTC) - newest(gateway)
    return found if found.total_seconds() > FRESH_S else timedelta()


def _count(gateway: Gateway) -> int:
    ((rows,),) = gateway.query("SELECT count(*) FROM analytics_requestlog")
    return int(rows)
