"""`serve` from its first step to its last: everything that must be there before the children, and the children."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError

from gateway_project import file_lock, postgres
from gateway_project.demo.setup import Demo
from gateway_project.server import database, listener, overview, pages
from gateway_project.server.child import Child, Gate
from gateway_project.server.supervisor import STATE_FILE, Supervisor
from gateway_project.server.terminal import Terminal
from namespaces import circuits

_MANAGE = str(settings.BASE_DIR / "manage.py")
_AFTER_A_CRASH_S = 5.0
_PAGES_SOCKET = str(settings.RUN_DIR / "pages.sock")


class CannotServe(Exception):
    """`serve` cannot start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line and the settings say."""

    host: str
    port: int
    workers: int
    config: str | None = None
    prune: bool = False
    demo: bool = False


def serve(options: Options, terminal: Terminal) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    Raises CannotServe, listener.CannotListen, PostgresError, DatabaseUnreachable or ConfigurationError, each with
    a message for the person at the terminal.
    """
    with ExitStack() as stack:
        stack.enter_context(_alone_on_the_data_directory())
        listener.raise_file_limit()
        socket_ = stack.enter_context(_bind(options))
        pages_socket = stack.enter_context(pages.bind(_PAGES_SOCKET))
        port = socket_.getsockname()[1]
        demo = Demo(settings.DATA_DIR, terminal.progress) if options.demo else None
        gate = Gate()
        supervisor = Supervisor(
            _stages(options, socket_, pages_socket, gate, demo),
            run_dir=settings.RUN_DIR,
            port=port,
            patience_s=settings.DRAIN_NOTICE_S + settings.DRAIN_TIMEOUT_S + 5,
            embedded_data_dir=settings.DATA_DIR if settings.EMBEDDED_DATABASE else None,
            on_stop=socket_.close,
        )
        if settings.EMBEDDED_DATABASE:
            stack.enter_context(postgres.running(settings.DATA_DIR, terminal.progress))
        # From here on, because Postgres stops last: this stack unwinds in reverse.
        stack.callback(supervisor.kill)
        supervisor.start_waiting()
        _prepare_database(options, demo, terminal)
        gate.open()
        supervisor.run(lambda: _announce(options, port, demo, terminal))


def _prepare_database(options: Options, demo: Demo | None, terminal: Terminal) -> None:
    """Do everything that must have happened in the database before a worker reads it."""
    if not settings.EMBEDDED_DATABASE:
        database.wait(terminal.progress)
    database.migrate(terminal.progress)
    _import_configuration(options, terminal)
    if demo is not None:
        demo.make()
    terminal.progress(f"starting {options.workers} worker{'' if options.workers == 1 else 's'}")


@contextmanager
def _alone_on_the_data_directory() -> Iterator[None]:
    """Hold the data directory, whose journal and limit table belong to one gateway."""
    settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.RUN_DIR.mkdir(mode=0o700, exist_ok=True)
    lock = file_lock.try_take(settings.RUN_DIR / "serve.lock")
    if lock is None:
        raise CannotServe(
            f"Another gateway uses {settings.DATA_DIR}. Stop it, or give this one a GATEWAY_DATA_DIR of its own."
        )
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _bind(options: Options) -> Iterator[socket.socket]:
    """Bind the socket. After a crash the old workers need a moment to notice and to let the port go."""
    state = settings.RUN_DIR / STATE_FILE
    deadline = time.monotonic() + (_AFTER_A_CRASH_S if state.exists() else 0)
    while True:
        try:
            bound = listener.bind(options.host, options.port)
            break
        except listener.CannotListen as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    state.unlink(missing_ok=True)
    with bound:
        yield bound


def _import_configuration(options: Options, terminal: Terminal) -> None:
    if options.config is None:
        return
    from gateway_project.configuration.importing import import_file

    terminal.progress(f"reading {options.config}")
    result = import_file(options.config, prune=options.prune, only_if_changed=True)
    for warning in result.warnings:
        terminal.warn(str(warning))
    if result.changes:
        terminal.progress(str(result).splitlines()[-1])


def _stages(
    options: Options, socket_: socket.socket, pages_socket: socket.socket, gate: Gate, demo: Demo | None
) -> list[list[Child]]:
    """Return the children in the order in which they stop: who serves, who helps, who ships what they wrote."""
    table = settings.RUN_DIR / "ratelimit"
    for name in ("ratelimit", "places", "repeats", circuits.FILE):
        # Counts of an earlier run would hold against nobody's calls of this one.
        (settings.RUN_DIR / name).write_bytes(b"")
    (settings.RUN_DIR / "strangers").unlink(missing_ok=True)
    shutil.rmtree(settings.RUN_DIR / "metrics", ignore_errors=True)  # counters begin with the gateway
    common = demo.environment() if demo else {}
    worker_env = common | {
        "GATEWAY_PROCESS": "worker",
        "GATEWAY_WORKER_COUNT": str(options.workers),
        "GATEWAY_RATELIMIT_FILE": str(table),
        "GATEWAY_LISTEN_PORT": str(socket_.getsockname()[1]),
        "GATEWAY_PAGES_SOCKET": _PAGES_SOCKET,
    }
    worker_command = [sys.executable, "-m", "gateway_project.server.worker", "--fd", str(socket_.fileno())]
    workers = [
        Child(
            f"worker {number}",
            worker_command,
            env=worker_env | {"GATEWAY_WORKER_INDEX": str(number - 1)},
            pass_fds=[socket_.fileno()],
            hang_timeout_s=settings.HANG_TIMEOUT_S,
            gate=gate,
        )
        for number in range(1, options.workers + 1)
    ]
    pages_child = Child(
        "pages",
        [sys.executable, "-m", "gateway_project.server.pages", "--fd", str(pages_socket.fileno())],
        env=common | {"GATEWAY_PROCESS": "pages"},
        pass_fds=[pages_socket.fileno()],
        hang_timeout_s=settings.HANG_TIMEOUT_S,
        gate=gate,
    )
    maintain = Child("maintain", [sys.executable, _MANAGE, "maintain"], env=common, waits_for_ready=True)
    ship_command = [sys.executable, "-m", "gateway_project.server.shipper"]
    shipper = Child("shipper", ship_command, env=common, waits_for_ready=True, holds_sigterm=True)
    return [workers, [pages_child, maintain, *([demo.child()] if demo else [])], [shipper]]


def _announce(options: Options, port: int, demo: Demo | None, terminal: Terminal) -> None:
    """Print the banner."""
    base = settings.PUBLIC_URL or f"http://{_shown_host(options.host)}:{port}"
    try:
        if demo is not None:
            demo.discover()
        found = overview.namespaces() or ["none yet: add an upstream and a namespace in the admin"]
    except DatabaseError as error:  # it was there a moment ago; calls are served without it
        found = [f"unknown, the database does not answer: {error}".strip()]
    rows = [("URL", base), ("Admin", f"{base}/admin/"), ("MCP", f"{base}/mcp/<namespace>")]
    rows += [("Namespaces" if index == 0 else "", text) for index, text in enumerate(found)]
    where = _shown_path(settings.DATA_DIR)
    rows += [("Data", where if settings.EMBEDDED_DATABASE else f"the database of DATABASE_URL; journal in {where}")]
    logs = "this terminal, one line a call"
    if settings.EMBEDDED_DATABASE:
        logs += f"; PostgreSQL's own: {_shown_path(settings.DATA_DIR / 'log' / 'postgres.log')}"
    rows += [("Log", logs), *(demo.rows() if demo else [])]
    terminal.banner(
        f"The MCP gateway is ready after {terminal.elapsed_s():.1f} s. Ctrl-C stops it.",
        rows,
        demo.try_it(base) if demo else (),
    )


def _shown_host(host: str) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"[{shown}]" if ":" in shown and not shown.startswith("[") else shown


def _shown_path(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
