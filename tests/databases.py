"""Databases for tests: making, copying, migrating and dropping them on a server that runs already."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent


def url_of_socket(directory: Path, name: str) -> str:
    """Return the URL of database `name` on the server whose socket lies in `directory`."""
    return f"postgresql://gateway@/{name}?host={directory}"


def renamed(url: str, name: str) -> str:
    """Return `url` with another database's name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def name_of(url: str) -> str:
    """Return the database's name in `url`."""
    return urlsplit(url).path.lstrip("/")


def create(url: str, name: str, template: str = "template0") -> str:
    """Make database `name` on the server of `url` and return its URL."""
    with psycopg.connect(renamed(url, "postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    return renamed(url, name)


def copy(url: str, prefix: str = "gw") -> str:
    """Copy the database of `url` under a new name and return the copy's URL."""
    return create(url, f"{prefix}_{uuid.uuid4().hex[:12]}", template=name_of(url))


def drop(url: str) -> None:
    """Drop the database of `url`, cutting off whoever is connected."""
    with psycopg.connect(renamed(url, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name_of(url))))


def never_sync(url: str) -> None:
    """Have the server of `url` leave all writing to the system: what it loses if the machine dies, nobody misses."""
    with psycopg.connect(renamed(url, "postgres"), autocommit=True) as connection:
        for name in ("fsync", "full_page_writes"):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(name)))
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def temporary(url: str, prefix: str = "gw") -> Iterator[str]:
    """Yield the URL of an empty database that is dropped afterwards."""
    made = create(url, f"{prefix}_{uuid.uuid4().hex[:12]}")
    try:
        yield made
    finally:
        drop(made)


def migrate(url: str) -> None:
    """Run all migrations on the database of `url`."""
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "DATABASE_DIRECT_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        check=True,
    )


def query(url: str, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """Run one statement and return its rows (none for a statement that returns nothing)."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, parameters or None)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []
