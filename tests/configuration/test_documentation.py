"""The examples of docs/configuration.md are files that import as they stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from gateway_project.configuration.importing import import_file
from keys.models import ApiKey, Grant, Team
from namespaces.models import Namespace, Upstream

pytestmark = pytest.mark.django_db
PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_examples_import_one_after_the_other(monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path]) -> None:
    for name in ("TEAM_A_KEY", "OPS_KEY", "ALICE_KEY", "TRACKER_TOKEN"):
        monkeypatch.setenv(name, f"{name}-0123456789-abcdefgh")
    for name in ("alice", "bob"):
        User.objects.create_user(name)
    short, full = re.findall(r"^```yaml\n(\S.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert import_file(write(short)).warnings == []
    assert import_file(write(full)).warnings == []
    assert set(Upstream.objects.values_list("slug", flat=True)) == {"github", "files", "tracker"}
    assert set(Namespace.objects.values_list("slug", flat=True)) == {"github", "files", "bugs"}
    assert ApiKey.objects.count() == 3
    assert Grant.objects.count() == 2
    team = Team.objects.get()
    assert (team.slug, team.memberships.count(), team.keys.get().owner.username) == ("qa", 2, "alice")


def test_every_command_and_field_that_the_page_names_is_there() -> None:
    text = PAGE.read_text()
    commands = set(re.findall(r"manage\.py (\w+)", text))
    there = {path.stem for path in (PAGE.parents[1] / "gateway_project/management/commands").glob("[a-z]*.py")}
    assert commands <= there
    assert {"import_config", "export_config", "create_key", "rotate_encryption", "serve"} <= commands
