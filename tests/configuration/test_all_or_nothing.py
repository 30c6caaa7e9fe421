"""A file is imported as a whole or not at all, against a database that commits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.importing import Imported, import_file
from keys.models import ApiKey
from namespaces.models import ConfigurationChange, ImportedConfiguration, Namespace, Upstream
from tests.configuration.conftest import FILES

pytestmark = pytest.mark.django_db(transaction=True)
Write = Callable[..., Path]


def nothing_is_there() -> bool:
    tables = (Upstream, Namespace, ApiKey, ImportedConfiguration, ConfigurationChange)
    return not any(table.objects.exists() for table in tables)


@pytest.fixture(autouse=True)
def without_changes(transactional_db: None) -> None:
    ConfigurationChange.objects.all().delete()


def test_an_error_in_the_last_entry_leaves_nothing(write: Write) -> None:
    text = "".join(f"  n{number}: {{url: 'https://n{number}.example.com'}}\n" for number in range(50))
    with pytest.raises(ConfigurationError):
        import_file(write(f"namespaces:\n{text}  last: {{url: 'ftp://x'}}\n"))
    assert nothing_is_there()


def test_a_refusal_by_the_database_in_the_middle_leaves_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse_key() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE unique_violation USING MESSAGE = 'no'; END $$;"
            " CREATE TRIGGER refuse_key BEFORE INSERT ON keys_keysecret FOR EACH ROW EXECUTE FUNCTION refuse_key()"
        )
    try:
        with pytest.raises(ConfigurationError, match=r"keys.alice \(team-a…\).secrets.team-a…: somebody else changed"):
            import_file(FILES / "config_valid.yaml")
        assert nothing_is_there()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse_key ON keys_keysecret; DROP FUNCTION refuse_key()")


def test_two_imports_at_once_give_the_result_of_one() -> None:
    results: list[Imported | Exception] = []

    def run() -> None:
        try:
            results.append(import_file(FILES / "config_valid.yaml"))
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(len(result.changes) for result in results if isinstance(result, Imported)) == [0, 0, 0, 11]
    assert ApiKey.objects.count() == 2


def test_workers_are_told_once_the_import_is_committed() -> None:
    import_file(FILES / "config_minimal.yaml")
    assert ConfigurationChange.objects.exists()
