"""What a file says about the server itself (A.16): defaults for `serve`, below flags and the environment.

Nothing here needs configured settings, because `serve` asks before there are any.
"""

from __future__ import annotations

import os
from pathlib import Path as FilePath

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.form import Findings, Form
from gateway_project.configuration.reader import Source, read

# Names of single-file databases; ours is a directory, so it stands beside such a file.
_FILE_SUFFIXES = frozenset((".duckdb", ".db", ".sqlite", ".sqlite3"))


def read_server(form: Form) -> dict[str, str]:
    """Read `server` and `database` of the whole file and return the variables that they are defaults of."""
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
    return found


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
