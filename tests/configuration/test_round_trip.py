"""Whatever the database holds, its export imports into an empty database and exports the same again."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway_project.configuration.exporting import Exporter
from gateway_project.configuration.importing import import_file
from keys import secrets
from keys.models import ApiKey, Quarantine, RateLimit, Team
from namespaces.models import Mount, Namespace, Upstream
from namespaces.rules import check_pattern

pytestmark = pytest.mark.django_db

# Without the phase that explains a failure: its tracing makes every example ten times as slow before Python 3.12.
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
PEOPLE = ("alice", "012", "null", "ada@example.org", "jörg+x")
slugs = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
# Everything but control characters and surrogates; YAML's own traps on purpose.
texts = st.one_of(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30),
    st.sampled_from(
        [
            "null",
            "~",
            "yes",
            "012",
            "1e3",
            "2027-01-01",
            "${HOME}",
            "$${X",
            "a: b",
            "- x",
            "#",
            "&a",
            "*a",
            "!!x",
            " ",
            "<<",
        ]
    ),
)
names = texts.filter(lambda text: check_pattern(text) is None)
moments = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
seconds = st.none() | st.floats(0.05, 86400)
modes = st.sampled_from(["all", "listed", "none"])
limits = {
    "requests_per_minute": st.none() | st.integers(-1, 10_000_000),
    "burst": st.none() | st.integers(1, 1_000_000),
    "algorithm": st.sampled_from(["", "token_bucket"]),
}
rules = {
    **{f"{kind}_mode": modes for kind in ("tools", "prompts", "resources")},
    **{f"{kind}_{part}": st.lists(names, max_size=3, unique=True)
       for kind in ("tools", "prompts", "resources") for part in ("listed", "denied")},
}  # fmt: skip
listed = st.lists(
    st.ip_addresses().map(str) | st.sampled_from(["192.0.2.0/24", "2001:db8::/32"]), max_size=3, unique=True
)
addresses = {"addresses_mode": st.sampled_from(["all", "listed"]), "addresses_listed": listed}
headers = st.sampled_from(["Authorization", "X-API-Key", "X_Api_Key", "x-tenant"])
header_values = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
upstreams = st.fixed_dictionaries(
    {
        "description": texts,
        "era": st.sampled_from(["auto", "modern", "legacy"]),
        "connect_timeout_s": seconds,
        "first_byte_timeout_s": seconds,
        "idle_timeout_s": seconds,
        "total_timeout_s": seconds,
        "health_interval_s": st.none() | st.floats(1, 86400, allow_nan=False),
        "max_response_bytes": st.none() | st.integers(1024, 2**62),
        "max_concurrency": st.none() | st.integers(1, 60_000),
        "queue_length": st.none() | st.integers(0, 60_000),
        "circuit_breaker_threshold": st.none() | st.integers(0, 10_000),
        "circuit_breaker_timeout": st.none() | st.floats(0.1, 86400),
        "max_retries": st.none() | st.integers(0, 10),
        "trust_annotations": st.booleans(),
        "queue_wait_s": st.none() | st.floats(0.001, 600),
        "tags": st.lists(texts.filter(bool), max_size=3, unique=True),
        "enabled": st.booleans(),
        "headers": st.dictionaries(headers, header_values, max_size=3),
    }
)
namespaces = st.fixed_dictionaries(
    {
        "description": texts,
        "enabled": st.booleans(),
        "mounted": st.booleans(),
        "identical_calls": st.none() | st.integers(0, 1_000_000),
        "progress_extends_total": st.booleans(),
        "identical_window_s": st.none() | st.floats(1, 86400),
        **rules,
        **addresses,
    }
)
keys = st.fixed_dictionaries(
    {
        "user_id": texts.filter(bool),
        "description": texts,
        "all_namespaces": st.booleans(),
        "expires_at": moments,
        "revoked_at": moments,
        **limits,
        **addresses,
        "max_concurrency": st.none() | st.integers(0, 60_000),
        "ends": st.lists(moments, min_size=1, max_size=3),
        "grants": st.lists(st.fixed_dictionaries({**rules, **limits}), max_size=2),
        "owner": st.none() | st.sampled_from(PEOPLE),
        "in_team": st.booleans(),
        "sees": st.sampled_from(["own", "team", "all"]),
    }
)
teams = st.fixed_dictionaries(
    {
        "name": texts,
        "description": texts,
        "members": st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(["admin", "auditor", "member"])),
        "namespaces": st.integers(0, 2),
    }
)
rate_limits = st.fixed_dictionaries(
    {
        "description": texts,
        "in_namespace": st.booleans(),
        "tools": st.lists(names, max_size=3, unique=True),
        "user_id": texts,
        "counted": st.sampled_from(["together", "each_key", "each_user", "each_namespace"]),
        "requests": st.none() | st.integers(-1, 100_000),
        "window_s": st.integers(1, 86_400),
        "burst": limits["burst"],
        "algorithm": st.sampled_from(["", "token_bucket", "sliding_window"]),
        "enabled": st.booleans(),
    }
)
quarantines = st.fixed_dictionaries(
    {
        "scope": st.sampled_from(["key", "user", "tool", "namespace", "upstream"]),
        "name": texts.filter(bool),
        "narrow": st.sampled_from([(), ("namespace",), ("upstream",), ("namespace", "upstream")]),
        "reason": texts.filter(bool),
        "ends_at": moments,
    }
)
worlds = st.fixed_dictionaries(
    {
        "upstreams": st.dictionaries(slugs, upstreams, max_size=3),
        "namespaces": st.dictionaries(slugs, namespaces, max_size=3),
        "teams": st.dictionaries(slugs, teams, max_size=2),
        "limits": st.dictionaries(slugs, rate_limits, max_size=3),
        "keys": st.lists(keys, max_size=3),
        "quarantines": st.lists(quarantines, max_size=4),
    }
)
_numbers = itertools.count()


def build(world: dict[str, Any]) -> None:
    """Write a world to the database, past every form and every check of ours."""
    made = []
    for slug, columns in world["upstreams"].items():
        rest = {name: value for name, value in columns.items() if name != "headers"}
        made.append(Upstream.objects.create(slug=slug, url=f"https://{slug}.example.com/mcp?a=%20{{b}}", **rest))
        for header, value in columns["headers"].items():
            made[-1].credentials.create(header=header, value=value)
    for number, (slug, columns) in enumerate(world["namespaces"].items()):
        rest = {name: value for name, value in columns.items() if name != "mounted"}
        namespace = Namespace.objects.create(slug=slug, **rest)
        if made and columns["mounted"]:
            Mount.objects.create(namespace=namespace, upstream=made[number % len(made)])
    people = {name: User.objects.get_or_create(username=name)[0] for name in PEOPLE}
    free = list(Namespace.objects.all())
    for slug, columns in world["teams"].items():
        team = Team.objects.create(slug=slug, name=columns["name"], description=columns["description"])
        for name, role in columns["members"].items():
            team.memberships.create(account=people[name], role=role)
        for namespace in free[: columns["namespaces"]]:
            team.namespaces.create(namespace=namespace)
        free = free[columns["namespaces"] :]
    for slug, columns in world["limits"].items():
        rest = {name: value for name, value in columns.items() if name != "in_namespace"}
        RateLimit.objects.create(
            slug=slug, namespace=Namespace.objects.first() if columns["in_namespace"] else None, **rest
        )
    for columns in world["keys"]:
        rest = {name: value for name, value in columns.items() if name not in ("ends", "grants", "in_team")}
        team = Team.objects.first() if columns["in_team"] else None
        rest |= {"owner": people.get(columns["owner"]), "team": team}
        rest["sees"] = "own" if columns["sees"] == "team" and team is None else columns["sees"]
        key = ApiKey.objects.create(**rest)
        for end in columns["ends"]:
            key.issue(f"key-{next(_numbers)}-{secrets.generate()}")
            key.secrets.filter(expires_at=None).update(expires_at=end)
        for namespace, grant in zip(Namespace.objects.all(), columns["grants"], strict=False):
            key.grants.create(namespace=namespace, **grant)
    for columns in world["quarantines"]:
        stop(columns)


def stop(columns: dict[str, Any]) -> None:
    """Quarantine what a world says, where there is such a thing."""
    firsts = {
        "key": ApiKey.objects.first(),
        "namespace": Namespace.objects.first(),
        "upstream": Upstream.objects.first(),
    }
    scope = columns["scope"]
    named: dict[str, Any] = {"user": {"user_id": columns["name"]}, "tool": {"tool": columns["name"]}}.get(scope, {})
    if scope == "tool":
        named |= {kind: firsts[kind] for kind in columns["narrow"]}
    elif scope in firsts:
        if firsts[scope] is None:
            return
        named[scope] = firsts[scope]
    Quarantine.objects.create(scope=scope, reason=columns["reason"], ends_at=columns["ends_at"], **named)


def empty() -> None:
    Quarantine.objects.all().delete()
    RateLimit.objects.all().delete()
    ApiKey.objects.all().delete()
    Team.objects.all().delete()
    Namespace.objects.all().delete()
    Upstream.objects.all().delete()


def take_in(text: str, prune: bool = False) -> int:
    """Import an export and return how many changes that made."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        return len(import_file(stream.name, prune=prune).changes)


class _Undo(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    """Take back whatever an example wrote."""
    try:
        with transaction.atomic():
            yield
            raise _Undo
    except _Undo:
        pass


@given(worlds)
@pytest.mark.timeout(300)
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_an_export_imports_into_an_empty_database_and_exports_the_same(world: dict[str, Any]) -> None:
    with undone():
        build(world)
        first = Exporter(with_secrets=True).text()
        assert take_in(first, prune=True) == 0
        credentials = revealed()
        empty()
        take_in(first)
        assert Exporter(with_secrets=True).text() == first
        assert revealed() == credentials


@given(worlds, worlds)
@pytest.mark.timeout(300)
@hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_an_export_with_prune_brings_any_database_back(world: dict[str, Any], other: dict[str, Any]) -> None:
    with undone():
        build(world)
        first, before = Exporter(with_secrets=True).text(), Exporter().text()
        credentials = revealed()
        empty()
        build(other)
        take_in(first, prune=True)
        # A value that is the same already keeps its own seal.
        assert Exporter().text() == before
        assert revealed() == credentials


def revealed() -> dict[tuple[str, str], str]:
    rows = Upstream.objects.prefetch_related("credentials")
    return {(row.slug, one.header): one.value.reveal() for row in rows for one in row.credentials.all()}


def test_a_key_still_works_after_an_export_and_an_import() -> None:
    key = ApiKey.objects.create(user_id="alice", all_namespaces=True)
    plaintext = key.issue()
    text = Exporter().text()
    empty()
    take_in(text)
    digest = secrets.digest(plaintext, settings.KEY_PEPPERS[0])
    assert ApiKey.objects.get(secrets__digest=digest).user_id == "alice"
    assert plaintext not in text


def test_references_take_the_place_of_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for slug in ("a-b", "a_b"):
        row = Upstream.objects.create(slug=slug, url="https://x.example.com/mcp")
        row.credentials.create(header="Authorization", value=f"Bearer {slug}")
    exporter = Exporter()
    text = exporter.text()
    assert "Authorization: ${UPSTREAM_A_B_AUTHORIZATION}" in text
    assert "Authorization: ${UPSTREAM_A_B_AUTHORIZATION_2}" in text
    assert "Bearer" not in text
    assert len(exporter.notes) == 2
    monkeypatch.setenv("UPSTREAM_A_B_AUTHORIZATION", "Bearer one")
    monkeypatch.setenv("UPSTREAM_A_B_AUTHORIZATION_2", "Bearer two")
    empty()
    take_in(text)
    assert set(revealed().values()) == {"Bearer one", "Bearer two"}
