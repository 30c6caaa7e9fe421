"""Fixtures of the whole suite: one PostgreSQL for the run, and gateways started as a person starts them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.db import connections

from gateway_project import postgres
from tests import databases
from tests.gateway import Gateway


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """Have PostgreSQL running (our own, or the one of DATABASE_URL) and yield the URL of its database."""
    if not settings.EMBEDDED_DATABASE:
        yield settings.DATABASE_DIRECT_URL
        return
    with postgres.running(settings.DATA_DIR):
        url = databases.url_of_socket(postgres.socket_directory(settings.DATA_DIR), "gateway")
        databases.never_sync(url)
        yield url


@pytest.fixture(scope="session")
def migrated_database(database_server: str) -> Iterator[str]:
    """Yield the URL of a migrated database that gateways' databases are copied from."""
    with databases.temporary(database_server, prefix="gwtemplate") as url:
        databases.migrate(url)
        yield url


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, migrated_database: str) -> None:
    """pytest-django's own hook: its test database is a copy too, so that a run migrates once."""
    connections["default"].settings_dict["TEST"]["TEMPLATE"] = databases.name_of(migrated_database)


@pytest.fixture
def make_gateway(request: pytest.FixtureRequest) -> Iterator[Callable[..., Gateway]]:
    """Yield a function that starts a gateway; all are stopped after the test. For its options see `Gateway.start`.

    With `embedded=True` it runs a PostgreSQL of its own, as `make run` does; otherwise it gets a database of the
    run's server, which starts in a second.
    """
    with Gateways(request) as start:
        yield start


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Yield one gateway that the tests of a module share."""
    with Gateways(request) as start:
        yield start()


class Gateways:
    """Starts gateways with databases of their own, and stops them all."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.request = request

    def __enter__(self) -> Callable[..., Gateway]:
        self.made: list[Gateway] = []
        self.databases: list[str] = []
        return self.start

    def start(self, *, embedded: bool = False, **options: object) -> Gateway:
        """Start a gateway and return it once it is ready."""
        if not embedded and "database_url" not in options:
            template = self.request.getfixturevalue("migrated_database")
            options["database_url"] = databases.copy(template)
            self.databases.append(str(options["database_url"]))
        gateway = Gateway(**options)  # type: ignore[arg-type]
        self.made.append(gateway)
        return gateway.start()

    def __exit__(self, *_: object) -> None:
        for gateway in self.made:
            gateway.close()
        for url in self.databases:
            databases.drop(url)


_OF_THE_DATABASE = frozenset({"db", "transactional_db", "database_server", "gateway", "make_gateway"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a database or a gateway."""
    for item in items:
        needs = _OF_THE_DATABASE & set(getattr(item, "fixturenames", ()))
        if needs or item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.integration)


def pytest_report_header() -> str:
    """Name the database that the run uses."""
    return f"database: {'embedded PostgreSQL' if 'DATABASE_URL' not in os.environ else 'DATABASE_URL'}"
