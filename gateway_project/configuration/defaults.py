"""What a file says about the server itself (A.16): defaults for `serve`, below flags and the environment.

Nothing here needs configured settings, because `serve` asks before there are any.
"""

from __future__ import annotations

import os
from pathlib import Path as FilePath

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.form import Findings, Form
from gateway_project.configuration.reader import Source, read

_MOST_DAYS = 36500
# Names of single-file databases; ours is a directory, so it stands beside such a file.
_FILE_SUFFIXES = frozenset((".duckdb", ".db", ".sqlite", ".sqlite3"))


def read_server(form: Form) -> dict[str, str]:
    """Read `server`, `database`, `monitor` and `health`; return the variables that they are defaults of."""
    found: dict[str, str] = {}
    server, database = form.form("server"), form.form("database")
    if host := server.text("host"):
        found["GATEWAY_HOST"] = host
    port = server.whole("port")
    if port is not None and 0 <= port <= 65535:
        found["GATEWAY_PORT"] = str(port)
    elif port is not None:
        server.problem("must lie between 0 and 65535", "port")
    if server.text("url"):
        form.findings.warn(server.line_of("url"), (*server.path, "url"), "is not used; set GATEWAY_PUBLIC_URL")
    if path := database.text("path"):
        place = FilePath(path).expanduser()
        found["GATEWAY_DB_PATH"] = str(place.with_suffix(".data") if place.suffix in _FILE_SUFFIXES else place)
    server.finish()
    database.finish()
    found |= _read_monitor(form.form("monitor"))
    found |= _read_health(form.form("health"))
    return found


def _read_health(health: Form) -> dict[str, str]:
    """Read `health.intervalMs` (B.11): how often upstreams are checked."""
    interval_ms = health.whole("intervalMs")
    health.finish()
    if interval_ms is None:
        return {}
    if not 1000 <= interval_ms <= 86_400_000:
        health.problem("must lie between 1000 and 86400000", "intervalMs")
        return {}
    return {"GATEWAY_HEALTH_INTERVAL_S": f"{interval_ms / 1000:g}"}


def _read_monitor(monitor: Form) -> dict[str, str]:
    """Read `monitor` (B.12): how long the request log is kept, in whole days, and whether there are metrics (B.29)."""
    hours = monitor.whole("retentionHours")
    if monitor.flag("requestLog") is False:
        monitor.findings.warn(monitor.line_of("requestLog"), (*monitor.path, "requestLog"), "is not used")
    found = {"GATEWAY_METRICS": "off"} if monitor.flag("prometheus") is False else {}
    monitor.finish()
    if hours is None:
        return found
    if not 1 <= hours <= 24 * _MOST_DAYS:
        monitor.problem(f"must lie between 1 and {24 * _MOST_DAYS}", "retentionHours")
        return found
    return found | {"GATEWAY_LOG_RETENTION_DAYS": str(-(-hours // 24))}


def file_defaults(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the environment variables for which the file at `path` has defaults, with their values.

    Raises ConfigurationError when the file cannot be read or these fields are wrong.
    """
    source = read(path)
    findings = Findings()
    found = read_server(Form(findings, source.root, ()))
    refuse(source, findings)
    return found


def refuse(source: Source, findings: Findings) -> None:
    """Raise ConfigurationError if reading or checking the file found problems.

    What the schema says of a value that could not even be read (a variable that is not set) is left out.
    """
    unread = {problem.path for problem in source.problems}
    problems = [*source.problems, *(problem for problem in findings.problems if problem.path not in unread)]
    if problems:
        raise ConfigurationError(source.name, problems)
