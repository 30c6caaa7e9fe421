"""No secret of a file comes out again: not in output, errors, warnings, history or `repr` (M7, S14)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pghistory.models
import pytest
from django.core import serializers

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.importing import import_file
from gateway_project.configuration.reader import read
from keys.models import ApiKey, Grant, KeySecret
from namespaces.models import ImportedConfiguration, Mount, Namespace, Upstream, UpstreamCredential
from tests.configuration.conftest import Ran

pytestmark = pytest.mark.django_db
Write = Callable[..., Path]
KEY, OTHER, TOKEN, SHORT = "sk-live-4242424242424242", "mine-9999999999999999-xyz", "tok-77777777777777", "hunter2"
GOOD = f"""
upstreams:
  a:
    url: https://x.example.com/mcp?api_key={TOKEN}
    credentials: {{Authorization: Bearer {TOKEN}, X-Key: "${{GATEWAY_TEST_TOKEN}}"}}
namespaces: {{a: {{upstream: a}}}}
auth:
  api_keys:
    {KEY}: {{user_id: alice}}
    {SHORT}: {{user_id: bob}}
keys: [{{user_id: carol, key: {OTHER}, all_namespaces: true}}]
"""
SECRETS = (KEY, OTHER, TOKEN, SHORT, "from-the-environment")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST_TOKEN", "from-the-environment")


def assert_clean(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


def test_an_import_prints_no_secret(run: Callable[..., Ran], write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = write(GOOD)
    ran = [run("import_config", path, "--dry-run"), run("import_config", path), run("import_config", path)]
    path.write_text(GOOD.replace(TOKEN, f"{TOKEN}-2").replace("alice", "alice2"))
    ran.append(run("import_config", path, "--prune"))
    assert ApiKey.objects.count() == 3
    for one in ran:
        assert one.error == ""
        assert_clean(one.everything)
    assert_clean("\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("django.db")))


def test_a_short_key_is_warned_about_without_being_shown(run: Callable[..., Ran], write: Write) -> None:
    ran = run("import_config", write(GOOD))
    assert ran.err == (
        'warning: line 10: auth.api_keys."h…": this key has only 7 characters and can be guessed;'
        " issue a new one with create_key\n"
    )


def test_nothing_that_is_stored_holds_a_secret_in_clear(write: Write) -> None:
    import_file(write(GOOD.replace("?api_key=" + TOKEN, "")))
    tables = (Upstream, UpstreamCredential, Namespace, Mount, ApiKey, KeySecret, Grant, ImportedConfiguration)
    rows = [row for table in tables for row in table.objects.all()]
    assert_clean(serializers.serialize("json", rows))
    assert_clean(str(list(pghistory.models.Events.objects.values())))


@pytest.mark.parametrize(
    "broken",
    [
        GOOD.replace("upstream: a", "upstream: b"),
        GOOD.replace("auth:", "auth: ["),
        GOOD.replace("  api_keys:\n", ""),
        GOOD.replace("keys:\n    ", "keys: &a\n    ") + "\nx-y: *b",
        GOOD + f"\n{KEY}: 1\n",
        GOOD.replace("user_id: alice", "user_name: alice"),
        GOOD.replace(f"{SHORT}:", f"{KEY}:"),
        GOOD.replace(f"key: {OTHER}", f"key: {KEY}"),
        GOOD.replace("url: https", "url: ftp"),
        GOOD.replace("url: https://x", f"url: https://user:{SHORT}@x"),
        GOOD.replace('"${GATEWAY_TEST_TOKEN}"', '"${GATEWAY_TEST_TOKEN}\\n"').replace("X-Key", "X Key"),
        GOOD.replace("upstream: a", 'upstream: a, allowed_tools: ["${GATEWAY_TEST_TOKEN} "]').replace("} ", "}x "),
        GOOD.replace("user_id: carol", "user_id: carol, expires_at: ${GATEWAY_TEST_TOKEN}"),
        GOOD.replace("{upstream: a}", "{upstream: a, tools: {mode: '${GATEWAY_TEST_TOKEN}'}}"),
        GOOD.replace("{upstream: a}", "{upstream: a, enabled: '${GATEWAY_TEST_TOKEN}'}"),
        GOOD.replace("{upstream: a}", "{upstream: '${GATEWAY_TEST_TOKEN}'}"),
        GOOD + "\nproxy: {servers: [{name: '${GATEWAY_TEST_TOKEN} x'}]}",
        GOOD.replace("{upstream: a}", "{upstream: a, tools: {listed: ['${GATEWAY_TEST_TOKEN}*********']}}"),
    ],
)
def test_a_refusal_shows_no_secret(run: Callable[..., Ran], write: Write, broken: str) -> None:
    ran = run("import_config", write(broken))
    assert "nothing was imported" in ran.error
    assert_clean(ran.everything)


def test_an_unusable_key_is_not_shown(run: Callable[..., Ran], write: Write) -> None:
    ran = run("import_config", write(f'auth: {{api_keys: {{"{KEY} {KEY}": {{user_id: alice}}}}}}'))
    assert "visible ASCII characters without blanks" in ran.error
    assert_clean(ran.everything)


def test_no_repr_shows_a_secret(write: Write) -> None:
    path = write(GOOD)
    assert_clean(repr(read(path)))
    result = import_file(path)
    assert_clean(repr(result) + repr(result.changes))
    with pytest.raises(ConfigurationError) as caught:
        import_file(write(GOOD.replace("upstream: a", "upstream: b")))
    assert_clean(repr(caught.value) + repr(caught.value.problems))
