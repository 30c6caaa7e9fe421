"""Limits in configuration files: the `limits` of the full format, B.10's `rateLimit`, and the algorithm of a key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.exporting import Exporter
from gateway_project.configuration.importing import import_file
from keys import secrets
from keys.models import ApiKey, Quota, RateLimit
from namespaces.models import Namespace

pytestmark = pytest.mark.django_db
Write = Callable[..., Path]
KEY = secrets.generate()
FULL = """
namespaces:
  docs: {url: "https://mcp.example.com/mcp"}
limits:
  search:
    description: The search is slow
    namespace: docs
    tools: [search, "find_*"]
    user_id: alice
    counted: each_key
    requests: 5
    window: 1h
    algorithm: sliding_window
    burst: 7
    enabled: false
  everything: {requests: 1000}
"""


def columns(slug: str) -> dict[str, Any]:
    row = RateLimit.objects.get(slug=slug)
    names = "description tools user_id counted requests window_s algorithm burst enabled".split()
    return {name: getattr(row, name) for name in names} | {"namespace": row.namespace and row.namespace.slug}


def problems(path: Path) -> str:
    with pytest.raises(ConfigurationError) as refusal:
        import_file(path)
    assert not RateLimit.objects.exists()
    return str(refusal.value)


def test_every_column_is_set_and_exported_again(write: Write) -> None:
    path = write(FULL)
    import_file(path)
    assert columns("search") == {
        "description": "The search is slow",
        "tools": ["search", "find_*"],
        "user_id": "alice",
        "counted": "each_key",
        "requests": 5,
        "window_s": 3600,
        "algorithm": "sliding_window",
        "burst": 7,
        "enabled": False,
        "namespace": "docs",
    }
    assert columns("everything") | {"requests": 1000, "namespace": None, "counted": "together", "window_s": 60}
    assert not import_file(path).changes
    text = Exporter().text()
    RateLimit.objects.all().delete()
    import_file(write(text))
    assert Exporter().text() == text


OF_ALICE = f"keys: [{{user_id: alice, key: {KEY}, all_namespaces: true}}]\n"


def test_a_limit_and_a_quota_may_be_for_one_key(write: Write) -> None:
    """By its secret in a file, by a digest in an export; together with the key, which the same file makes."""
    rules = f"limits: {{one: {{requests: 5, key: {KEY}}}}}\nquotas: {{one: {{amount: 9, key: {KEY}}}}}\n"
    path = write(OF_ALICE + rules)
    import_file(path)
    alice = ApiKey.objects.get()
    assert RateLimit.objects.get().key == Quota.objects.get().key == alice
    assert not import_file(path).changes
    text = Exporter().text()
    assert KEY not in text and text.count(bytes(alice.secrets.get().digest).hex()) == 3
    RateLimit.objects.all().delete()
    Quota.objects.all().delete()
    import_file(write(text))
    assert RateLimit.objects.get().key == Quota.objects.get().key == alice
    import_file(write("limits: {one: {requests: 6}}\nquotas: {one: {amount: 8}}\n"))
    assert RateLimit.objects.get().key == Quota.objects.get().key == alice, (
        "a file that does not say it changes nothing"
    )
    import_file(write("limits: {one: {requests: 6, key: null}}\nquotas: {one: {amount: 8, digest: null}}\n"))
    assert RateLimit.objects.get().key is Quota.objects.get().key is None


def test_an_export_leaves_out_what_is_for_a_key_that_it_leaves_out(write: Write) -> None:
    """Without the key, the rule would be for every key."""
    import_file(write(OF_ALICE + f"limits: {{one: {{requests: 5, key: {KEY}}}, all: {{requests: 9}}}}\n"))
    ApiKey.objects.get().secrets.all().delete()
    exporter = Exporter()
    assert list(exporter.tree()["limits"]) == ["all"]
    assert any("The limit one was left out" in note for note in exporter.notes)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("limits: {one: {requests: 5, key: mcpgw_no}}", "mistyped"),
        ("limits: {one: {requests: 5, digest: abc}}", "64 hexadecimal"),
        ("limits: {one: {requests: 5, digest: " + "0" * 64 + "}}", "limits.one: no key has this secret"),
        ('limits: {one: {requests: 5, key: ""}}', "write null for every key"),
        ("quotas: {one: {amount: 5, digest: " + "0" * 64 + "}}", "quotas.one: no key has this secret"),
        ('quotas: {one: {amount: 5, key: ""}}', "write null for every key"),
    ],
)
def test_a_key_that_is_not_there_opens_no_rule_to_everybody(write: Write, rule: str, complaint: str) -> None:
    assert complaint in problems(write(rule))
    assert not Quota.objects.exists()


def test_a_file_that_says_less_changes_less(write: Write) -> None:
    import_file(write(FULL))
    import_file(write("limits: {search: {requests: -1}}"))
    assert columns("search")["requests"] == -1 and columns("search")["namespace"] == "docs"
    import_file(write("limits: {search: {requests: null, namespace: null, user_id: null}}"))
    found = columns("search")
    assert (found["requests"], found["namespace"], found["user_id"]) == (None, None, "")


def test_prune_removes_limits_where_the_file_speaks_of_them(write: Write) -> None:
    import_file(write(FULL))
    import_file(write("version: 1"), prune=True)
    assert RateLimit.objects.count() == 2
    result = str(import_file(write("limits: {everything: {requests: 1000}}"), prune=True))
    assert result.startswith("- limits.search\n")
    import_file(write("namespaces: {}\nlimits: {}"), prune=True)
    assert not RateLimit.objects.exists() and not Namespace.objects.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits: {a: {}}", "line 1: limits.a.requests: is missing"),
        ("limits: {A: {requests: 1}}", "limits.A"),
        ("limits: {a: {requests: -2}}", "limits.a.requests: Ensure this value is greater than or equal to -1."),
        ("limits: {a: {requests: 1, window: 0}}", "limits.a.window: Ensure this value is greater than or equal to 1."),
        ("limits: {a: {requests: 1, window: 1.5}}", "limits.a.window: must be whole seconds"),
        ("limits: {a: {requests: 1, burst: 0}}", "limits.a.burst"),
        ("limits: {a: {requests: 1, algorithm: fixed_window}}", "limits.a.algorithm: Value 'fixed_window' is not a"),
        ("limits: {a: {requests: 1, counted: twice}}", "limits.a.counted"),
        ("limits: {a: {requests: 1, namespace: nowhere}}", "limits.a.namespace: no namespace is called 'nowhere'"),
        ("limits: {a: {requests: 1, tools: [' x']}}", "limits.a.tools"),
        ("limits: {a: {requests: 1, per: key}}", "limits.a.per: unknown field"),
        (
            "limits: {a: {requests: 100001, algorithm: sliding_window}}",
            "limits.a: A sliding window takes at most 100,000",
        ),
        ("rateLimit: {limit: 100001}", "limits.rate-limit: A sliding window takes at most 100,000"),
        ("rateLimit: {limit: many}", "rateLimit.limit: must be a whole number"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(write: Write, text: str, said: str) -> None:
    assert said in problems(write(text))


def test_a_window_that_only_becomes_too_large_together_is_refused(write: Write) -> None:
    import_file(write("limits: {a: {requests: 10, algorithm: sliding_window}}"))
    with pytest.raises(ConfigurationError, match="A sliding window takes at most 100,000"):
        import_file(write("limits: {a: {requests: 200000}}"))
    assert columns("a")["requests"] == 10


@pytest.mark.parametrize(
    ("section", "requests", "window_s", "counted"),
    [
        ("{}", 100, 60, "each_key"),
        ("{limit: 5, windowSeconds: 10}", 5, 10, "each_key"),
        ("{limit: 5, perKey: false}", 5, 60, "together"),
        ("{limit: 5, perKey: true}", 5, 60, "each_key"),
        ("{limit: 0}", 0, 60, "each_key"),
        ("{limit: null}", None, 60, "each_key"),
    ],
)
def test_b10_the_sliding_window_of_everybody(
    write: Write, section: str, requests: int | None, window_s: int, counted: str
) -> None:
    import_file(write(f"rateLimit: {section}"))
    found = columns("rate-limit")
    assert (found["requests"], found["window_s"], found["counted"]) == (requests, window_s, counted)
    assert (found["algorithm"], found["enabled"], found["namespace"]) == ("sliding_window", True, None)


def test_b10_a_file_that_changes_its_mind_leaves_one_limit(write: Write) -> None:
    import_file(write("rateLimit: {limit: 5, perKey: true}"))
    import_file(write("rateLimit: {limit: 50, perKey: false}"))
    assert RateLimit.objects.count() == 1 and columns("rate-limit")["counted"] == "together"


def test_keys_and_grants_have_an_algorithm(write: Write) -> None:
    text = """
namespaces: {docs: {url: "https://mcp.example.com/mcp"}}
keys:
  - user_id: alice
    key: a-key-0123456789-xyz-abc
    requests_per_minute: 60
    algorithm: sliding_window
    grants: {docs: {requests_per_minute: 5, algorithm: token_bucket}}
"""
    import_file(write(text))
    key = ApiKey.objects.get()
    assert (key.algorithm, key.grants.get().algorithm) == ("sliding_window", "token_bucket")
    with pytest.raises(ConfigurationError, match="A sliding window takes at most 100,000"):
        import_file(write(text.replace("requests_per_minute: 60", "requests_per_minute: 600000")))
