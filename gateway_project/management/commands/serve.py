"""`serve`: run the gateway, with everything that it needs."""

from __future__ import annotations

import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.postgres_binaries import PostgresError
from gateway_project.server.terminal import Terminal


class Command(BaseCommand):
    """Run the gateway."""

    help = (
        "Run the gateway: database, migrations, workers, and what ships the request log and keeps house. "
        "Flags win over the environment, the environment over the configuration file."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (GATEWAY_HOST)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port; 0 takes a free one (GATEWAY_PORT)")
        parser.add_argument("--workers", type=int, default=settings.WORKERS, help="processes (GATEWAY_WORKERS)")
        parser.add_argument("--config", metavar="FILE", help="import this file first, if it has changed")
        parser.add_argument("--prune", action="store_true", help="with --config: remove what the file leaves out")
        parser.add_argument("--demo", action="store_true", help="publish a bundled server as /mcp/demo, with a key")

    def handle(self, *_: Any, **options: Any) -> None:
        from gateway_project.server import database, launch, listener

        if not 1 <= options["workers"] <= 64:
            raise CommandError("--workers must lie between 1 and 64.")
        if not 0 <= options["port"] <= 65535:
            raise CommandError("--port must lie between 0 and 65535.")
        if options["prune"] and not options["config"]:
            raise CommandError("--prune needs --config.")
        if not settings.AUTH_ENABLED and options["host"] not in settings.LOOPBACK_HOSTS:
            raise CommandError("GATEWAY_AUTH_ENABLED=false is accepted on a loopback address only; change --host.")
        if not settings.AUTH_ENABLED and options["host"] not in settings.LOOPBACK_HOSTS:
            raise CommandError("GATEWAY_AUTH_ENABLED=false goes with a loopback --host only, such as 127.0.0.1.")
        # Until the children run: unwind what has begun, as Ctrl-C does.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        names = ("host", "port", "workers", "config", "prune", "demo")
        try:
            launch.serve(launch.Options(**{name: options[name] for name in names}), Terminal())
        except (
            ConfigurationError,
            PostgresError,
            database.DatabaseUnreachable,
            launch.CannotServe,
            listener.CannotListen,
        ) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            sys.exit(130)
