"""`create_key`, `export_config` and `rotate_encryption` as an admin types them."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pghistory.models
import pytest
from cryptography.fernet import Fernet
from django.utils import timezone
from pytest_django import Settings

from gateway_project.configuration.importing import import_file
from keys import secrets
from keys.models import ApiKey, KeySecret
from namespaces.models import Upstream, UpstreamCredential
from tests.configuration.conftest import FILES, Ran

pytestmark = pytest.mark.django_db
Run = Callable[..., Ran]


@pytest.fixture
def published() -> None:
    import_file(FILES / "config_valid.yaml")
    ApiKey.objects.all().delete()


def test_the_key_stands_alone_on_the_last_line_of_the_output(run: Run, settings: Settings) -> None:
    ran = run("create_key", "--user", "alice")
    assert ran.out.endswith("\n")
    key = ran.out.splitlines()[-1]
    assert ran.out == f"{key}\n"
    assert secrets.is_well_formed(key)
    assert key not in ran.err
    stored = KeySecret.objects.get()
    assert bytes(stored.digest) == secrets.digest(key, settings.KEY_PEPPERS[0])
    assert stored.key.user_id == "alice"


def test_without_a_namespace_the_key_reaches_all_and_says_so(run: Run) -> None:
    assert "reaches every namespace, present and future, for ever" in run("create_key", "--user", "alice").err
    assert ApiKey.objects.get().all_namespaces


@pytest.mark.parametrize(
    "form", [["--namespace", "github", "files"], ["--namespace", "github", "--namespace", "files"]]
)
def test_named_namespaces_become_grants(run: Run, published: None, form: list[str]) -> None:
    ran = run("create_key", "--user", "alice", *form)
    key = ApiKey.objects.get()
    assert not key.all_namespaces
    assert {grant.namespace.slug for grant in key.grants.all()} == {"github", "files"}
    assert "reaches the namespaces github, files" in ran.err


def test_tools_narrow_every_named_namespace_and_close_the_rest(run: Run, published: None) -> None:
    run("create_key", "--user", "alice", "--namespace", "github", "files", "--tool", "get_*", "search")
    for grant in ApiKey.objects.get().grants.all():
        rules = grant.rule_set()
        assert rules.tools.allows("get_me")
        assert rules.tools.allows("search")
        assert not rules.tools.allows("delete_file")
        assert not rules.prompts.allows("x")
        assert not rules.resources.allows("file:///x")


def test_limit_expiry_and_description_are_stored(run: Run) -> None:
    run("create_key", "--user", "alice", "--rpm", 5, "--burst", 2, "--expires", "30d", "--description", "laptop")
    key = ApiKey.objects.get()
    assert (key.requests_per_minute, key.burst, key.description, key.created_by) == (5, 2, "laptop", "create_key")
    assert abs(key.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2088-01-31", datetime(2088, 1, 31, tzinfo=UTC)),
        ("2088-01-31T12:30", datetime(2088, 1, 31, 12, 30, tzinfo=UTC)),
        ("2088-01-31T12:30:00Z", datetime(2088, 1, 31, 12, 30, tzinfo=UTC)),
        ("2088-01-31T12:30+02:00", datetime(2088, 1, 31, 10, 30, tzinfo=UTC)),
    ],
)
def test_m5_an_expiry_is_stored_in_utc(run: Run, text: str, moment: datetime) -> None:
    run("create_key", "--user", "alice", "--expires", text)
    assert ApiKey.objects.get().expires_at == moment


@pytest.mark.parametrize(
    "text",
    ["2020-01-01", "0d", "9999-12-31", "9999-12-31T23:59:59-12:00", "999999999999d", "30", "-1d", "soon", "2026-13-45",
     "0000-00-00", "", "1e9d", "2088-01-31T25:00"],
)  # fmt: skip
def test_m5_an_expiry_that_makes_no_sense_is_refused(run: Run, text: str) -> None:
    ran = run("create_key", "--user", "alice", f"--expires={text}")
    assert ran.error.startswith("--expires")
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tool", "get_*"], "name them with --namespace as well"),
        (["--namespace", "nope"], "There is no namespace nope. There are: files, github."),
        (["--rpm", "-2"], "--rpm: Ensure this value is greater than or equal to -1."),
        (["--rpm", "10000001"], "--rpm: Ensure this value is less than or equal to 10000000."),
        (["--rpm", "5", "--burst", "0"], "--burst: Ensure this value is greater than or equal to 1."),
        (["--burst", "5"], "give --rpm as well"),
        (["--namespace", "github", "--tool", "a" * 600], "--tool"),
        (["--namespace", "github", "--tool", " "], "--tool"),
        (["--description", "x" * 501], "--description"),
    ],
)
def test_what_makes_no_sense_is_refused_and_makes_no_key(
    run: Run, published: None, arguments: list[str], message: str
) -> None:
    ran = run("create_key", "--user", "alice", *arguments)
    assert message in ran.error
    assert ran.out == ""
    assert not ApiKey.objects.exists()


def test_a_user_is_needed(run: Run) -> None:
    assert "--user" in run("create_key", "--user", "  ").error
    assert "--user" in run("create_key").error


def test_the_history_says_where_a_key_came_from(run: Run) -> None:
    run("create_key", "--user", "alice")
    assert {event.pgh_context["source"] for event in pghistory.models.Events.objects.all()} == {"create_key"}


def test_an_export_is_written_for_its_owner_only(run: Run, published: None, tmp_path: Path) -> None:
    path = tmp_path / "out.yaml"
    os.umask(0o022)
    ran = run("export_config", path)
    assert ran.out == ""
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == run("export_config").out
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_that_cannot_be_written_says_so(run: Run, tmp_path: Path) -> None:
    assert "cannot be written" in run("export_config", tmp_path / "no" / "out.yaml").error


def test_s14_an_export_holds_no_secret_unless_asked_and_then_sealed(run: Run, published: None) -> None:
    UpstreamCredential.objects.create(upstream=Upstream.objects.get(slug="github"), header="X-Key", value="hunter2")
    plain, sealed = run("export_config"), run("export_config", "--with-secrets")
    assert "hunter2" not in plain.everything + sealed.everything
    assert "set UPSTREAM_GITHUB_X_KEY before an import" in plain.err
    assert UpstreamCredential.objects.get().value.token in sealed.out
    assert UpstreamCredential.objects.get().value.token not in plain.out


def test_a_key_without_a_secret_is_left_out_and_said(run: Run) -> None:
    ApiKey.objects.create(user_id="nobody")
    ran = run("export_config")
    assert "keys: []" in ran.out
    assert "nobody" in ran.err


@pytest.fixture
def sealed_with_an_older_key(settings: Settings) -> tuple[str, str]:
    """Make a credential under one key, put a newer key before it, and return both keys."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [old]
    upstream = Upstream.objects.create(slug="a", url="https://x.example.com")
    upstream.credentials.create(header="Authorization", value="Bearer hunter2")
    settings.ENCRYPTION_KEYS = [new, old]
    return old, new


def test_rotation_seals_with_the_newest_key(
    run: Run, settings: Settings, sealed_with_an_older_key: tuple[str, str]
) -> None:
    assert run("rotate_encryption", "--check").out == "1 value sealed with an older key.\n"
    assert run("rotate_encryption").out == "1 value sealed anew.\n"
    assert run("rotate_encryption").out == "0 values sealed anew.\n"
    settings.ENCRYPTION_KEYS = [sealed_with_an_older_key[1]]
    assert UpstreamCredential.objects.get().value.reveal() == "Bearer hunter2"


def test_a_check_changes_nothing(run: Run, settings: Settings, sealed_with_an_older_key: tuple[str, str]) -> None:
    run("rotate_encryption", "--check")
    settings.ENCRYPTION_KEYS = [sealed_with_an_older_key[0]]
    assert UpstreamCredential.objects.get().value.reveal() == "Bearer hunter2"


def test_a_value_that_no_key_opens_is_named_and_left_while_the_others_are_sealed_anew(
    run: Run, settings: Settings, sealed_with_an_older_key: tuple[str, str]
) -> None:
    lost = Fernet(Fernet.generate_key()).encrypt(b"gone").decode()
    other = UpstreamCredential.objects.create(upstream=Upstream.objects.get(), header="X-Lost", value="x")
    from namespaces.fields import Sealed

    UpstreamCredential.objects.filter(pk=other.pk).update(value=Sealed(lost))
    ran = run("rotate_encryption")
    assert ran.out == "1 value sealed anew.\n"
    assert f"credential {other.pk} (X-Lost: ••••)" in ran.error
    assert UpstreamCredential.objects.get(pk=other.pk).value.token == lost
    settings.ENCRYPTION_KEYS = [sealed_with_an_older_key[1]]
    assert UpstreamCredential.objects.get(header="Authorization").value.reveal() == "Bearer hunter2"


def test_rotation_is_no_change_of_the_row_in_its_history(run: Run, sealed_with_an_older_key: tuple[str, str]) -> None:
    before = pghistory.models.Events.objects.count()
    run("rotate_encryption")
    assert pghistory.models.Events.objects.count() == before
