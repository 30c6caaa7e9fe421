"""What an import makes of a file: the rows, and what a second, a changed and a pruning import do to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pghistory.models
import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from pytest_django import Settings

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.importing import Imported, import_file
from keys import secrets
from keys.models import ApiKey, Grant, KeySecret
from namespaces.models import ConfigurationChange, ImportedConfiguration, Namespace, Upstream, UpstreamCredential
from tests.configuration.conftest import FILES, Ran

pytestmark = pytest.mark.django_db
Write = Callable[..., Path]
Run = Callable[..., Ran]
ALICE, OPS = "team-a-key-0123456789abcdef", "ops-key-fedcba9876543210-ops"


def key_of(plaintext: str) -> ApiKey:
    """Return the key that a caller with this secret would be."""
    digest = secrets.digest(plaintext, django_settings.KEY_PEPPERS[0])
    return KeySecret.objects.get(digest=digest).key


def signs(result: Imported) -> list[str]:
    return [f"{change.sign} {change.path}" for change in result.changes]


def test_a9_a_namespace_becomes_an_upstream_a_namespace_and_a_mount() -> None:
    import_file(FILES / "config_valid.yaml")
    github = Namespace.objects.get(slug="github")
    assert github.description == "Issues and pull requests"
    assert github.mount.upstream == Upstream.objects.get(slug="github", url="https://mcp.example.com/github")
    assert (github.tools_mode, github.tools_listed) == ("listed", ["search_issues", "get_*"])
    assert Namespace.objects.get(slug="files").tools_mode == "all"


def test_a10_denied_tools_are_denied() -> None:
    import_file(FILES / "config_valid.yaml")
    rule = Namespace.objects.get(slug="files").rule_set().tools
    assert rule.allows("read_file")
    assert not rule.allows("delete_file")


@pytest.mark.parametrize("allowed", ["", "allowed_tools: []", "allowed_tools:"])
def test_a9_an_absent_or_empty_list_of_allowed_tools_means_all(write: Write, allowed: str) -> None:
    import_file(write(f"namespaces:\n  a:\n    url: https://x.example.com/mcp\n    {allowed}\n"))
    rules = Namespace.objects.get().rule_set()
    assert not rules.tools.restricts
    assert not rules.prompts.restricts


def test_a_list_of_tools_closes_prompts_and_resources() -> None:
    import_file(FILES / "config_valid.yaml")
    github = Namespace.objects.get(slug="github")
    assert (github.prompts_mode, github.resources_mode) == ("none", "none")


def test_a11_keys_are_stored_as_digests_with_user_and_reach() -> None:
    import_file(FILES / "config_valid.yaml")
    alice, ops = key_of(ALICE), key_of(OPS)
    assert (alice.user_id, alice.description, alice.all_namespaces) == ("alice", "Alice's laptop", False)
    assert [grant.namespace.slug for grant in alice.grants.all()] == ["github"]
    assert (ops.user_id, ops.all_namespaces, ops.grants.count()) == ("ops", True, 0)
    assert alice.state == "active"


def test_a13_the_rate_limit_stands_on_every_key_of_the_file() -> None:
    import_file(FILES / "config_valid.yaml")
    assert set(ApiKey.objects.values_list("requests_per_minute", "burst")) == {(120, 20)}


@pytest.mark.parametrize(
    ("section", "limit"),
    [
        ("rate_limit: {enabled: true}", (100, 10)),
        ("rate_limit: {enabled: true, requests_per_minute: 5}", (5, 10)),
        ("rate_limit: {enabled: false, requests_per_minute: 5}", (None, None)),
        ("rate_limit: {requests_per_minute: 0}", (0, 10)),
        ("", (None, None)),
    ],
)
def test_a13_forms_of_the_rate_limit(write: Write, section: str, limit: tuple[int | None, int | None]) -> None:
    import_file(write(f"auth: {{api_keys: {{{ALICE}: {{user_id: alice}}}}}}\n{section}\n"))
    assert ApiKey.objects.values_list("requests_per_minute", "burst").get() == limit


def test_a_file_that_says_nothing_of_limits_leaves_those_set_by_hand(write: Write) -> None:
    path = write(f"auth: {{api_keys: {{{ALICE}: {{user_id: alice}}}}}}\n")
    import_file(path)
    ApiKey.objects.update(requests_per_minute=7)
    assert not import_file(path).changes
    assert ApiKey.objects.get().requests_per_minute == 7


def test_the_richer_format_sets_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TRACKER_TOKEN": "tok-1", "ALICE_KEY": ALICE, "BOB_KEY": OPS}.items():
        monkeypatch.setenv(name, value)
    import_file(FILES / "config_native.yaml")
    tracker = Upstream.objects.get()
    assert (tracker.era, tracker.tags, tracker.max_response_bytes) == ("legacy", ["team-a", "prod"], 1048576)
    assert (tracker.max_concurrency, tracker.queue_length, tracker.queue_wait_s) == (10, 20, 0.5)
    assert (tracker.circuit_breaker_threshold, tracker.circuit_breaker_timeout) == (7, 90)
    assert (tracker.max_retries, tracker.trust_annotations) == (2, True)
    times = (tracker.connect_timeout_s, tracker.first_byte_timeout_s, tracker.idle_timeout_s, tracker.total_timeout_s)
    assert times == (2.5, 30, 120, 600)
    assert {one.header: one.value.reveal() for one in tracker.credentials.all()} == {
        "Authorization": "Bearer tok-1",
        "X-Tenant": "acme",
    }
    rules = Namespace.objects.get(slug="bugs").rule_set()
    assert rules.tools.allows("get_bug")
    assert not rules.tools.allows("get_secret")
    assert not rules.prompts.allows("any")
    assert not rules.resources.allows("file:///etc/passwd")
    alice = key_of(ALICE)
    assert alice.expires_at == datetime(2036, 1, 31, 10, tzinfo=UTC)
    grant = alice.grants.get()
    assert (grant.tools_mode, grant.tools_listed, grant.requests_per_minute, grant.burst) == (
        "listed",
        ["get_bug"],
        30,
        3,
    )
    assert [grant.namespace.slug for grant in key_of(OPS).grants.all()] == ["bugs"]


def test_an_empty_list_under_listed_lets_nothing_through(write: Write) -> None:
    import_file(write("namespaces: {a: {url: 'https://x.example.com', tools: {listed: []}}}\n"))
    assert not Namespace.objects.get().rule_set().tools.allows("anything")


def test_json_is_understood() -> None:
    import_file(FILES / "config_json.json")
    assert Namespace.objects.get().description == "smile 😀 \\ud83d"
    assert key_of("json-key-0123456789abcdef").user_id == "carol"


def test_d28_servers_of_a_proxy_become_upstreams_with_their_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_TOKEN", "s-1")
    result = import_file(FILES / "config_proxy.yaml")
    search = Namespace.objects.get(slug="search").mount.upstream
    assert (search.url, search.first_byte_timeout_s) == ("https://search.example.com/mcp", 45)
    assert search.credentials.get(header="X-API-Key").value.reveal() == "s-1"
    assert [str(warning) for warning in result.warnings] == [
        "line 2: oauth: is not supported and was left out",
        "line 6: auth.permissions: is not supported and was left out",
    ]


@pytest.mark.parametrize("name", ["config_valid.yaml", "config_minimal.yaml", "config_json.json", "config_native.yaml"])
def test_the_same_file_twice_changes_nothing(monkeypatch: pytest.MonkeyPatch, run: Run, name: str) -> None:
    for variable in ("TRACKER_TOKEN", "ALICE_KEY", "BOB_KEY"):
        monkeypatch.setenv(variable, f"{variable}-0123456789-abcdef")
    assert import_file(FILES / name).changes
    before = ConfigurationChange.objects.count()
    assert run("import_config", FILES / name).out == f"{name}: nothing to change.\n"
    assert ConfigurationChange.objects.count() == before


def test_a_changed_file_changes_just_that(write: Write) -> None:
    text = (FILES / "config_valid.yaml").read_text()
    import_file(write(text))
    changed = text.replace("/github\n", "/v2\n").replace("[github]", "[files]").replace("Alice's laptop", "desk")
    assert signs(import_file(write(changed))) == [
        "~ upstreams.github",
        "~ keys.alice (team-a…)",
        "+ keys.alice (team-a…).grants.files",
        "- keys.alice (team-a…).grants.github",
    ]
    assert [grant.namespace.slug for grant in key_of(ALICE).grants.all()] == ["files"]


def test_narrowing_a_key_to_a_namespace_takes_the_others_away(write: Write) -> None:
    text = (FILES / "config_valid.yaml").read_text()
    import_file(write(text))
    import_file(write(text.replace("user_id: ops", "user_id: ops\n      namespaces: [files]")))
    assert not key_of(OPS).all_namespaces
    assert [grant.namespace.slug for grant in key_of(OPS).grants.all()] == ["files"]


def test_rules_of_a_grant_made_by_hand_outlive_an_import_that_cannot_express_them() -> None:
    import_file(FILES / "config_valid.yaml")
    Grant.objects.update(tools_mode="listed", tools_listed=["get_me"])
    assert not import_file(FILES / "config_valid.yaml").changes
    assert Grant.objects.get().tools_listed == ["get_me"]


def test_nothing_is_deleted_without_prune(write: Write) -> None:
    import_file(FILES / "config_valid.yaml")
    import_file(write("namespaces: {}\nauth: {api_keys: {}}\nupstreams: {}\n"))
    assert (Upstream.objects.count(), Namespace.objects.count(), ApiKey.objects.count()) == (2, 2, 2)


def test_prune_removes_what_the_file_leaves_out(write: Write) -> None:
    import_file(FILES / "config_valid.yaml")
    result = import_file(
        write(
            f"namespaces: {{files: {{url: 'https://f.example.com'}}}}\nauth: {{api_keys: {{{OPS}: {{user_id: ops}}}}}}"
        ),
        prune=True,
    )
    assert [text for text in signs(result) if text[0] == "-"] == [
        "- keys.alice (team-a…)",
        "- namespaces.github",
        "- upstreams.github",
    ]
    assert [row.slug for row in Namespace.objects.all()] == [row.slug for row in Upstream.objects.all()] == ["files"]
    assert ApiKey.objects.get() == key_of(OPS)


def test_prune_leaves_kinds_of_which_the_file_does_not_speak(write: Write) -> None:
    import_file(FILES / "config_valid.yaml")
    import_file(write("namespaces: {files: {url: 'https://f.example.com'}}"), prune=True)
    assert ApiKey.objects.count() == 2
    import_file(write("auth: {api_keys: {}}"), prune=True)
    assert (ApiKey.objects.count(), Namespace.objects.count()) == (0, 1)


def test_prune_refuses_to_remove_an_upstream_that_a_namespace_mounts(write: Write) -> None:
    import_file(FILES / "config_minimal.yaml")
    with pytest.raises(ConfigurationError, match=r"upstreams.demo: namespace demo mounts it and stays"):
        import_file(write("upstreams: {}"), prune=True)


def test_a_name_that_prune_removes_cannot_be_referred_to(write: Write) -> None:
    import_file(FILES / "config_valid.yaml")
    text = (
        "namespaces: {files: {url: 'https://f.example.com'}}\n"
        f"auth: {{api_keys: {{{OPS}: {{user_id: ops, namespaces: [github]}}}}}}"
    )
    with pytest.raises(ConfigurationError, match="no namespace is called 'github'"):
        import_file(write(text), prune=True)
    import_file(write(text))
    assert key_of(OPS).grants.get().namespace.slug == "github"


def test_a_dry_run_shows_the_difference_and_writes_nothing(run: Run, write: Write) -> None:
    import_file(FILES / "config_valid.yaml")
    before = ConfigurationChange.objects.count()
    text = (FILES / "config_valid.yaml").read_text().replace("requests_per_minute: 120", "requests_per_minute: 60")
    ran = run("import_config", write(text.replace("  files:", "  papers:")), "--dry-run", "--prune")
    assert ran.out == (
        "+ upstreams.papers\n"
        "    url: https://files.example.com/mcp\n"
        "+ namespaces.papers\n"
        "    tools_denied: [delete_file]\n"
        "+ namespaces.papers.mount\n"
        "~ keys.alice (team-a…)\n"
        "    requests_per_minute: 120 → 60\n"
        "~ keys.ops (ops-key…)\n"
        "    requests_per_minute: 120 → 60\n"
        "- namespaces.files\n"
        "- upstreams.files\n"
        "gateway.yaml: 3 would be added, 2 would be changed, 2 would be removed; nothing was written.\n"
    )
    assert ConfigurationChange.objects.count() == before
    assert not Namespace.objects.filter(slug="papers").exists()


def test_what_is_shown_after_an_import_is_what_was_there_before(write: Write) -> None:
    import_file(FILES / "config_minimal.yaml")
    result = import_file(write("namespaces: {demo: {url: 'https://two.example.com/mcp'}}"))
    assert "url: https://mcp.example.com/mcp → https://two.example.com/mcp" in str(result)


def test_an_unchanged_file_is_skipped_until_it_or_a_variable_changes(
    monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    monkeypatch.setenv("GATEWAY_TEST_URL", "https://one.example.com")
    path = write("namespaces: {a: {url: '${GATEWAY_TEST_URL}'}}")
    assert not import_file(path, only_if_changed=True).skipped
    assert import_file(path, only_if_changed=True).skipped
    Namespace.objects.update(description="by hand")
    assert import_file(path, only_if_changed=True).skipped
    monkeypatch.setenv("GATEWAY_TEST_URL", "https://two.example.com")
    assert signs(import_file(path, only_if_changed=True)) == ["~ upstreams.a"]
    path.write_text(path.read_text() + "\n# a comment\n")
    assert not import_file(path, only_if_changed=True).skipped
    assert ImportedConfiguration.objects.count() == 1


def test_a_dry_run_is_not_remembered(write: Write) -> None:
    path = write("namespaces: {a: {url: 'https://x.example.com'}}")
    import_file(path, dry_run=True)
    assert not import_file(path, only_if_changed=True).skipped


def test_prune_counts_as_a_change(write: Write) -> None:
    path = write("namespaces: {a: {url: 'https://x.example.com'}}")
    import_file(FILES / "config_minimal.yaml")
    import_file(path)
    assert not import_file(path, prune=True, only_if_changed=True).skipped
    assert [row.slug for row in Namespace.objects.all()] == ["a"]


def test_a_key_known_under_an_old_pepper_is_recognised(settings: Settings) -> None:
    settings.KEY_PEPPERS = ["old-pepper"]
    import_file(FILES / "config_valid.yaml")
    settings.KEY_PEPPERS = ["new-pepper", "old-pepper"]
    assert not import_file(FILES / "config_valid.yaml").changes
    assert KeySecret.objects.count() == 2


def test_a_rotated_secret_is_not_given_new_life() -> None:
    import_file(FILES / "config_valid.yaml")
    key_of(ALICE).rotate(timedelta(hours=1))
    end = KeySecret.objects.exclude(expires_at=None).get().expires_at
    assert not import_file(FILES / "config_valid.yaml", prune=True).changes
    assert KeySecret.objects.exclude(expires_at=None).get().expires_at == end
    assert key_of(ALICE).secrets.count() == 2


def test_a_revoked_key_stays_revoked(write: Write) -> None:
    path = write(f"keys: [{{user_id: alice, key: {ALICE}, all_namespaces: true, revoked_at: null}}]")
    import_file(path)
    key_of(ALICE).revoke()
    result = import_file(path)
    assert not result.changes
    assert [warning.path for warning in result.warnings] == ["keys[0]"]
    assert key_of(ALICE).state == "revoked"


def test_a_key_without_any_namespace_is_warned_about(write: Write) -> None:
    result = import_file(write(f"keys: [{{user_id: alice, key: {ALICE}}}]"))
    assert "reaches no namespace" in str(result.warnings[0])
    assert not key_of(ALICE).all_namespaces


def test_secrets_of_two_keys_in_one_entry_are_refused(run: Run, write: Write) -> None:
    import_file(FILES / "config_valid.yaml")
    stored = [(bytes(one.digest).hex(), one.pepper, one.prefix) for one in KeySecret.objects.all()]
    listed = ", ".join(
        f"{{digest: '{digest}', pepper: '{pepper}', prefix: {prefix}}}" for digest, pepper, prefix in stored
    )
    ran = run("import_config", write(f"keys: [{{user_id: alice, secrets: [{listed}]}}]"))
    assert "line 1: keys[0]: its secrets belong to several keys of the database" in ran.error


def test_credentials_are_compared_by_value_and_replaced_when_they_differ(write: Write) -> None:
    text = "upstreams: {a: {url: 'https://x.example.com', credentials: {Authorization: Bearer one, X-A: two}}}"
    import_file(write(text))
    assert not import_file(write(text)).changes
    changed = import_file(write(text.replace("one", "three").replace(", X-A: two", "")))
    assert signs(changed) == ["~ upstreams.a.credentials.Authorization", "- upstreams.a.credentials.X-A"]
    assert UpstreamCredential.objects.get().value.reveal() == "Bearer three"


def test_a_namespace_form_without_credentials_leaves_those_entered_by_hand() -> None:
    import_file(FILES / "config_minimal.yaml")
    Upstream.objects.get().credentials.create(header="Authorization", value="Bearer x")
    assert not import_file(FILES / "config_minimal.yaml").changes
    assert UpstreamCredential.objects.count() == 1


def test_the_history_says_that_it_was_an_import() -> None:
    import_file(FILES / "config_minimal.yaml")
    contexts = {event.pgh_context["source"] for event in pghistory.models.Events.objects.all()}
    files = {event.pgh_context["file"] for event in pghistory.models.Events.objects.all()}
    assert (contexts, files) == ({"import_config"}, {"config_minimal.yaml"})


def test_authentication_off_in_a_file_needs_the_setting_as_well(settings: Settings, write: Write) -> None:
    path = write("namespaces: {a: {url: 'https://x.example.com'}}\nauth: {enabled: false}")
    settings.AUTH_ENABLED = True
    with pytest.raises(ConfigurationError, match=r"line 2: auth\.enabled: .*GATEWAY_AUTH_ENABLED=false"):
        import_file(path)
    settings.AUTH_ENABLED = False
    assert not import_file(path).warnings
    assert Namespace.objects.exists()


def test_authentication_on_in_a_file_is_warned_about_where_the_setting_has_it_off(settings: Settings) -> None:
    settings.AUTH_ENABLED = False
    (warning,) = import_file(FILES / "config_valid.yaml").warnings
    assert warning.path == "auth.enabled"


def test_an_expired_key_may_be_imported_as_it_is(write: Write) -> None:
    import_file(write(f"keys: [{{user_id: a, key: {ALICE}, all_namespaces: true, expires_at: 2020-01-01}}]"))
    assert key_of(ALICE).state == "expired"
    assert key_of(ALICE).expires_at < timezone.now()


def test_d13_a_heartbeat_sets_how_often_the_files_servers_are_checked(write: Write) -> None:
    servers = "servers: [{name: one, connection: {url: 'http://127.0.0.1:9001/mcp'}}]"
    import_file(write(f"proxy: {{heartbeat: {{enabled: true, intervalSeconds: 10}}, {servers}}}\n"))
    assert Upstream.objects.get().health_interval_s == 10
    import_file(write(f"proxy: {{{servers}}}\n"))
    assert Upstream.objects.get().health_interval_s == 10, "a file that says nothing leaves it"
    with pytest.raises(ConfigurationError, match=r"proxy\.heartbeat\.intervalSeconds"):
        import_file(write(f"proxy: {{heartbeat: {{intervalSeconds: 0.2}}, {servers}}}\n"))


def test_an_upstream_says_how_often_it_is_checked(write: Write) -> None:
    import_file(write("upstreams: {one: {url: 'http://127.0.0.1:9001/mcp', health_interval: 1m}}\n"))
    assert Upstream.objects.get().health_interval_s == 60
    import_file(write("upstreams: {one: {url: 'http://127.0.0.1:9001/mcp', health_interval: null}}\n"))
    assert Upstream.objects.get().health_interval_s is None
