"""The pages of namespaces: mounting, ticking, patterns, and what clients see of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from keys.models import ApiKey
from namespaces import catalogue
from namespaces.models import Mount, Namespace, Upstream
from tests.admin.pages import namespace_form

ADD = "/admin/namespaces/namespace/add/"
NAMES = "/admin/namespaces/namespace/found-names/"


def page(namespace: Namespace) -> str:
    return reverse("admin:namespaces_namespace_change", args=[namespace.pk])


def errors(response: Any) -> dict[str, list[str]]:
    return response.context["adminform"].form.errors


@pytest.fixture
def listed(upstream: Upstream) -> Upstream:
    """The upstream with three tools, a prompt, a resource and a template."""
    tools = [{"name": name, "description": f"Does {name}."} for name in ("read", "write", "delete")]
    catalogue.observe(upstream.pk, "tool", tools, complete=True)
    catalogue.observe(upstream.pk, "prompt", [{"name": "summary"}], complete=True)
    catalogue.observe(upstream.pk, "resource", [{"uri": "file:///a"}], complete=True)
    catalogue.observe(upstream.pk, "template", [{"uriTemplate": "file:///{path}"}], complete=True)
    return upstream


def add(admin: Client, upstream: Upstream, **fields: Any) -> Namespace:
    response = admin.post(ADD, namespace_form(upstream.pk, **fields))
    assert response.status_code == 302, errors(response)
    return Namespace.objects.get()


def test_a_new_namespace_lets_everything_through_unless_told(admin: Client, listed: Upstream) -> None:
    namespace = add(admin, listed)
    assert namespace.mount.upstream == listed
    assert (namespace.tools_mode, namespace.prompts_mode, namespace.resources_mode) == ("all", "all", "all")


def test_ticking_switches_to_listed_and_closes_prompts_and_resources(admin: Client, listed: Upstream) -> None:
    namespace = add(admin, listed, tools_found=["", "read"])
    assert (namespace.tools_mode, namespace.tools_listed) == ("listed", ["read"])
    assert (namespace.prompts_mode, namespace.resources_mode) == ("none", "none")


def test_prompts_and_resources_may_be_opened_beside_listed_tools(admin: Client, listed: Upstream) -> None:
    namespace = add(admin, listed, tools_found=["", "read"], prompts_mode="all", resources_found=["", "file:///*"])
    assert (namespace.prompts_mode, namespace.resources_mode) == ("all", "listed")
    assert namespace.resources_listed == ["file:///*"]


def test_ticks_and_lines_are_one_list(admin: Client, listed: Upstream) -> None:
    lines = "get_*\r\n\r\n  other \r\nget_*"
    namespace = add(admin, listed, tools_found=["", "read", "write"], tools_listed=lines, tools_denied="write\r\n*_all")
    assert namespace.tools_listed == ["read", "write", "get_*", "other"]
    assert namespace.tools_denied == ["write", "*_all"]
    rule = namespace.rule_set().tools
    assert [name for name in ("read", "write", "get_x", "delete", "other") if rule.allows(name)] == [
        "read",
        "get_x",
        "other",
    ]
    form = admin.get(page(namespace)).context["adminform"].form
    assert form.initial["tools_found"] == ["read", "write"]
    assert form.initial["tools_listed"] == ["get_*", "other"]


def change(admin: Client, namespace: Namespace, **fields: Any) -> Namespace:
    row = {"id": namespace.mount.pk, "namespace": namespace.pk}
    data = namespace_form(namespace.mount.upstream_id, row, prompts_mode="all", resources_mode="all") | fields
    response = admin.post(page(namespace), data)
    assert response.status_code == 302, errors(response)
    namespace.refresh_from_db()
    return namespace


def test_saving_without_a_change_changes_nothing(admin: Client, listed: Upstream) -> None:
    namespace = add(admin, listed, tools_found=["", "write", "read"], tools_listed="x_*")
    before = namespace.tools_listed
    change(admin, namespace, tools_mode="listed", tools_found=["", "read", "write"], tools_listed="x_*")
    assert (namespace.tools_mode, namespace.tools_listed) == ("listed", before)


def test_unticking_all_lets_nothing_through_and_says_so(admin: Client, listed: Upstream) -> None:
    namespace = add(admin, listed, tools_found=["", "read"])
    change(admin, namespace, tools_mode="listed")
    assert (namespace.tools_mode, namespace.tools_listed) == ("listed", [])
    assert "no tools at all" in admin.get(page(namespace)).content.decode()


def test_the_mode_all_can_be_chosen_again_with_the_ticks_kept(admin: Client, listed: Upstream) -> None:
    namespace = add(admin, listed, tools_found=["", "read"])
    change(admin, namespace, tools_mode="all", tools_found=["", "read"])
    assert (namespace.tools_mode, namespace.tools_listed) == ("all", ["read"])


def test_a_tool_that_is_gone_stays_listed_as_a_line(admin: Client, listed: Upstream) -> None:
    namespace = add(admin, listed, tools_found=["", "read", "write"])
    catalogue.observe(listed.pk, "tool", [{"name": "write"}], complete=True)
    form = admin.get(page(namespace)).context["adminform"].form
    assert (form.initial["tools_found"], form.initial["tools_listed"]) == (["write"], ["read"])


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [("a" * 513, "longer than 512"), ("*" * 9, "more than 8 wildcards"), ("a\x07b", "control character")],
)
def test_m3_a_pattern_that_could_be_slow_or_blind_is_a_form_error(
    admin: Client, listed: Upstream, pattern: str, problem: str
) -> None:
    response = admin.post(ADD, namespace_form(listed.pk, tools_listed=pattern))
    assert problem in str(errors(response)["tools_listed"])
    response = admin.post(ADD, namespace_form(listed.pk, tools_denied=pattern))
    assert problem in str(errors(response)["tools_denied"])
    assert not Namespace.objects.exists()


@pytest.mark.parametrize("pattern", ["(a+)+$", "(", "[", ".*", "^read$", "read|write"])
def test_m3_regular_expressions_are_only_text(admin: Client, listed: Upstream, pattern: str) -> None:
    rule = add(admin, listed, tools_listed=pattern).rule_set().tools
    assert rule.allows(pattern)
    assert not any(rule.allows(name) for name in ("read", "write", "a" * 40))


def test_m3_too_many_lines_are_a_form_error(admin: Client, listed: Upstream) -> None:
    lines = "\n".join(f"tool-{number}" for number in range(1001))
    response = admin.post(ADD, namespace_form(listed.pk, tools_listed=lines))
    assert "More than 1000 lines" in str(errors(response)["tools_listed"])


@pytest.mark.parametrize("mode", ["", "ALL", "some", "listed\x00"])
def test_an_unknown_mode_is_a_form_error(admin: Client, listed: Upstream, mode: str) -> None:
    response = admin.post(ADD, namespace_form(listed.pk, tools_mode=mode))
    assert "tools_mode" in errors(response)


@pytest.mark.parametrize("slug", ["Team", "te__am", "team ", "ｔｅａｍ", "", "a/b", "..", "%74eam"])
def test_m4_names_that_would_be_confused_are_form_errors(admin: Client, namespace: Namespace, slug: str) -> None:
    data = namespace_form(namespace.mount.upstream_id, slug=slug)
    if slug == "team ":  # blanks around a name are taken off, and then it is taken
        assert "already exists" in str(errors(admin.post(ADD, data))["slug"])
        return
    assert errors(admin.post(ADD, data))["slug"]
    assert Namespace.objects.count() == 1


def test_a_new_namespace_offers_the_names_of_the_upstream_that_the_link_names(admin: Client, listed: Upstream) -> None:
    body = admin.get(ADD, {"upstream": listed.pk}).content.decode()
    assert 'value="read"' in body and "Does read." in body and 'value="file:///*"' in body
    assert f'<option value="{listed.pk}" selected>files</option>' in body
    assert "Choose what is published above" in admin.get(ADD).content.decode()


def test_the_script_gets_the_names_of_another_upstream(admin: Client, listed: Upstream, namespace: Namespace) -> None:
    for query in ({"upstream": listed.pk}, {"namespace": namespace.pk}):
        body = admin.get(NAMES, {"part": "tools", "name": "tools_found", **query}).content.decode()
        assert body.count('name="tools_found"') == 3
    assert admin.get(NAMES, {"part": "digest"}).status_code == 400
    for query in ({"upstream": "x"}, {"upstream": "99999999999999999999999"}, {"namespace": "-1"}, {"namespace": "0"}):
        assert "Choose what is published" in admin.get(NAMES, {"part": "tools", **query}).content.decode()
    body = admin.get(NAMES, {"part": "tools", "name": '"><script>', "upstream": listed.pk}).content.decode()
    assert "<script>" not in body


def test_the_page_shows_the_url_the_tools_and_the_keys(admin: Client, listed: Upstream, key: ApiKey) -> None:
    namespace = Namespace.objects.get()
    Namespace.objects.update(tools_mode="listed", tools_listed=["read", "write"], tools_denied=["write"])
    body = admin.get(page(namespace)).content.decode()
    assert '<code class="url" id="namespace-url">http://testserver/mcp/team</code>' in body
    assert "1 of 3" in body
    assert f"bob@example.org #{key.pk}" in body
    ApiKey.objects.create(user_id="root", all_namespaces=True)
    ApiKey.objects.create(user_id="nobody")
    rows = admin.get("/admin/keys/apikey/", {"reaches": "team"}).context["cl"].result_list
    assert {row.user_id for row in rows} == {"bob@example.org", "root"}


def test_the_url_follows_the_public_address(admin: Client, namespace: Namespace, settings: Any) -> None:
    settings.PUBLIC_URL = "https://mcp.example.org"
    assert "https://mcp.example.org/mcp/team" in admin.get(page(namespace)).content.decode()


def test_disabling_names_what_breaks_first(admin: Client, key: ApiKey) -> None:
    namespace = Namespace.objects.get()
    data = {"action": "disable", "_selected_action": [namespace.pk]}
    body = admin.post("/admin/namespaces/namespace/", data).content.decode()
    assert "/mcp/team looks as if it did not exist; 1 keys are granted it" in body
    assert Namespace.objects.get().enabled
    admin.post("/admin/namespaces/namespace/", data | {"confirmed": "1"})
    assert not Namespace.objects.get().enabled


def test_an_empty_namespace_is_called_empty(admin: Client) -> None:
    assert admin.post(ADD, namespace_form("")).status_code in (200, 302)
    Namespace.objects.update_or_create(slug="empty")
    Mount.objects.all().delete()
    assert "nothing mounted" in admin.get("/admin/namespaces/namespace/").content.decode()
