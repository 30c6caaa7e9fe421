"""Quotas in configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.exporting import Exporter
from gateway_project.configuration.importing import import_file
from keys.models import Quota, Team

pytestmark = pytest.mark.django_db
FULL = """
namespaces: {docs: {url: "https://mcp.example.com/mcp"}}
teams: {red: {namespaces: [docs]}}
quotas:
  trial:
    description: For those who try
    namespace: docs
    tools: [search, "find_*"]
    user_id: alice
    team: red
    counted: each_user
    measure: response_bytes
    period: month
    amount: 1000000
    warn_percent: 90
    hard: false
    enabled: false
  usual: {amount: 500}
"""


def take_in(tmp_path: Path, text: str, **options: bool) -> str:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    return str(import_file(path, **options))


def test_every_column_is_set_and_exported_again(tmp_path: Path) -> None:
    take_in(tmp_path, FULL)
    row = Quota.objects.get(slug="trial")
    assert (row.description, row.namespace.slug, row.tools, row.user_id) == (  # type: ignore[union-attr]
        "For those who try", "docs", ["search", "find_*"], "alice",
    )  # fmt: skip
    assert (row.team.slug, row.counted, row.unit, row.amount) == ("red", "each_user", "response_bytes/month", 1_000_000)  # type: ignore[union-attr]
    assert (row.warn_percent, row.hard, row.enabled) == (90, False, False)
    usual = Quota.objects.get(slug="usual")
    assert (usual.counted, usual.unit, usual.warn_percent, usual.hard, usual.enabled) == (
        "each_key",
        "calls/day",
        80,
        True,
        True,
    )
    assert "nothing to change" in take_in(tmp_path, FULL)
    text = Exporter().text()
    Quota.objects.all().delete()
    Team.objects.all().delete()
    take_in(tmp_path, text)
    assert Exporter().text() == text


def test_null_opens_a_quota_and_prune_removes_those_left_out(tmp_path: Path) -> None:
    take_in(tmp_path, FULL)
    take_in(tmp_path, "quotas: {trial: {amount: 5, namespace: null, team: null, user_id: null}}")
    row = Quota.objects.get(slug="trial")
    assert (row.namespace, row.team, row.user_id, row.amount, row.counted) == (None, None, "", 5, "each_user")
    take_in(tmp_path, "version: 1", prune=True)
    assert Quota.objects.count() == 2
    assert take_in(tmp_path, "quotas: {usual: {amount: 500}}", prune=True).startswith("- quotas.trial\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quotas: {a: {}}", "line 1: quotas.a.amount: is missing"),
        ("quotas: {a: {amount: null}}", "quotas.a.amount: is missing"),
        ("quotas: {a: {amount: -1}}", "quotas.a.amount"),
        ("quotas: {A: {amount: 1}}", "quotas.A"),
        ("quotas: {a: {amount: 1, period: hour}}", "quotas.a.period: Value 'hour' is not a valid choice."),
        ("quotas: {a: {amount: 1, measure: tokens}}", "quotas.a.measure"),
        ("quotas: {a: {amount: 1, warn_percent: 0}}", "quotas.a.warn_percent"),
        ("quotas: {a: {amount: 1, team: nobody}}", "quotas.a.team: no team is called 'nobody'"),
        ("quotas: {a: {amount: 1, namespace: nowhere}}", "quotas.a.namespace: no namespace is called 'nowhere'"),
        ("quotas: {a: {amount: 1, stop: true}}", "quotas.a.stop: unknown field"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        take_in(tmp_path, text)
    assert said in str(refusal.value)
    assert not Quota.objects.exists()
