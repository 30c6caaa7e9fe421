"""Limits in configuration files: the `limits` of the full format, B.10's `rateLimit`, and the algorithm of a key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.exporting import Exporter
from gateway_project.configuration.importing import import_file
from keys.models import ApiKey, RateLimit
from namespaces.models import Namespace

pytestmark = pytest.mark.django_db
Write = Callable[..., Path]
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
