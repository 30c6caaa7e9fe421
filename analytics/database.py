"""A direct connection to the database for what must not go through the ORM or a pooler: COPY, DETACH, locks."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import environ
import psycopg
from django.conf import settings
from django.db import connections

_LIBPQ_NAMES = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}
# Settings of Django's backend that libpq does not know, and `options`, which holds a web request's time limit.
_DJANGO_OPTIONS = frozenset({"pool", "isolation_level", "assume_role", "server_side_binding", "options"})
# A peer that vanished without a word is noticed within seconds, not hours.
_LIVENESS = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 20_000}


def direct_parameters() -> dict[str, Any]:
    """Return libpq's connection parameters: DATABASE_DIRECT_URL's, or else those that Django itself uses.

    The database's name is always Django's, because a test run renames it.
    """
    django = connections.settings["default"]  # the same dictionary, without loading the ORM for it
    source: dict[str, Any] = dict(django)
    if settings.DATABASE_DIRECT_URL:
        source = dict(environ.Env.db_url_config(settings.DATABASE_DIRECT_URL))
    options = {
        name: value
        for name, value in (source.get("OPTIONS") or {}).items()
        if name not in _DJANGO_OPTIONS | {"options"}
    }
    named = {libpq: source[name] for name, libpq in _LIBPQ_NAMES.items() if source.get(name)}
    return _LIVENESS | options | named | {"dbname": django["NAME"]}


def connect(application_name: str, parameters: dict[str, Any] | None = None) -> psycopg.Connection:
    """Return a new connection in autocommit mode, with the server's time zone set to UTC.

    Args:
        application_name: shown in pg_stat_activity.
        parameters: libpq's, `direct_parameters()` when None.
    Raises psycopg.OperationalError when the database cannot be reached.
    """
    if parameters is None:
        parameters = direct_parameters()
    connection = psycopg.connect(**parameters, application_name=application_name, autocommit=True)
    connection.execute("SET TIME ZONE 'UTC'")
    return connection


def stand_back(connection: psycopg.Connection) -> None:
    """Let calls go first: lower the priority of the database's process behind a connection, where that is ours to say.

    It is where the database is embedded: its processes are on this machine and run as this user, or this user is root.
    """
    if settings.EMBEDDED_DATABASE and settings.BACKGROUND_NICENESS:
        with suppress(OSError):  # another user's, or gone: it works on as it is
            os.setpriority(os.PRIO_PROCESS, connection.info.backend_pid, settings.BACKGROUND_NICENESS)
