"""Quarantines in configuration files: what they name, what is refused, and that no file lifts one by saying nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.exporting import Exporter
from gateway_project.configuration.importing import import_file
from keys import secrets
from keys.models import ApiKey, Quarantine
from namespaces.models import Namespace

pytestmark = pytest.mark.django_db
Write = Callable[..., Path]
KEY = secrets.generate()
WHOLE = f"""
namespaces: {{docs: {{url: "https://docs.example.com/mcp"}}}}
keys: [{{user_id: alice, key: {KEY}, all_namespaces: true}}]
quarantines:
  - {{scope: key, key: {KEY}, reason: It loops}}
  - {{scope: user, user_id: eve, reason: Slow, ends_at: 2099-01-31T12:00:00Z}}
  - {{scope: tool, tool: delete, namespace: docs, upstream: docs, reason: Wrong}}
  - {{scope: namespace, namespace: docs, reason: Moved}}
  - {{scope: upstream, upstream: docs, reason: Moved}}
"""


def test_every_scope_is_taken_together_with_what_it_names(write: Write) -> None:
    path = write(WHOLE)
    assert len([change for change in import_file(path).changes if change.path.startswith("quarantines")]) == 5
    assert not import_file(path).changes
    docs, alice = Namespace.objects.get(), ApiKey.objects.get()
    assert Quarantine.objects.get(scope="key").key == alice
    assert Quarantine.objects.get(scope="tool").namespace == docs
    assert set(Quarantine.objects.values_list("set_by", flat=True)) == {"import_config"}
    assert KEY not in Exporter().text()


def test_a_file_that_leaves_one_out_lifts_it_only_when_told_to_prune(write: Write) -> None:
    import_file(write(WHOLE))
    path = write("quarantines: [{scope: user, user_id: eve, reason: Very slow}]\n")
    assert [change.sign for change in import_file(path).changes] == ["~"]
    assert Quarantine.objects.count() == 5 and Quarantine.objects.get(scope="user").reason == "Very slow"
    import_file(write("keys: []\n", "other.yaml"), prune=False)
    assert Quarantine.objects.count() == 5
    import_file(path, prune=True)
    assert Quarantine.objects.get().user_id == "eve"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{user_id: eve, reason: x}", r"scope: is missing"),
        ("{scope: all, reason: x}", r"scope: .*all"),
        ("{scope: user, reason: x}", r"user_id: is missing"),
        ("{scope: user, user_id: eve}", r"reason: is missing"),
        ("{scope: user, user_id: eve, tool: t, reason: x}", r"tool: does not belong"),
        ("{scope: namespace, namespace: nowhere, reason: x}", r"no namespace is called 'nowhere'"),
        ("{scope: key, digest: abc, reason: x}", r"64 hexadecimal"),
        ("{scope: key, digest: " + "0" * 64 + ", reason: x}", r"no key has this secret"),
        ("{scope: user, user_id: eve, reason: x, until: now}", r"unknown field"),
    ],
)
def test_what_cannot_be_meant_is_refused(write: Write, entry: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        import_file(write(f"quarantines: [{entry}]\n"))
    assert not Quarantine.objects.exists()
