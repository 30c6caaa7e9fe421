"""The pages of upstreams: saving, testing the connection, enabling and disabling."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from namespaces import circuits
from namespaces.circuits import CircuitTable
from namespaces.models import CatalogueEntry, Namespace, Upstream, UpstreamCredential
from proxy.breaker import Breaker, Breaking
from tests.admin.pages import upstream_form

ADD = "/admin/namespaces/upstream/add/"
LIST = "/admin/namespaces/upstream/"


def page(upstream: Upstream) -> str:
    return reverse("admin:namespaces_upstream_change", args=[upstream.pk])


def errors(response: Any) -> dict[str, list[str]]:
    return response.context["adminform"].form.errors


def test_an_upstream_is_added_and_tested_in_one_step(admin: Client, sdk_url: str) -> None:
    response = admin.post(ADD, upstream_form(slug="sdk", url=f" {sdk_url} ", _test="1"), follow=True)
    upstream = Upstream.objects.get(slug="sdk")
    assert upstream.url == sdk_url
    assert response.redirect_chain == [(page(upstream), 302)]
    text = response.content.decode()
    assert "Upstream sdk is up: sdk-upstream 1.0.0, modern era (2026-07-28)" in text
    assert "tools found" in text and "<code>echo</code>" in text
    assert (upstream.detected_era, upstream.status.ok) == ("modern", True)
    assert CatalogueEntry.objects.filter(upstream=upstream, kind="tool", name="echo").exists()


def test_the_reason_why_not_is_said_and_kept(admin: Client, upstream: Upstream) -> None:
    response = admin.post(page(upstream), upstream_form(_test="1"), follow=True)
    text = response.content.decode()
    assert "Connection refused by 127.0.0.1:47" in text
    upstream.refresh_from_db()
    assert (upstream.status.ok, upstream.status.reason) == (False, "connection_refused")
    assert "Connection refused" in admin.get("/admin/").content.decode()


def test_an_invalid_form_is_not_tested(admin: Client, upstream: Upstream) -> None:
    response = admin.post(page(upstream), upstream_form(url="ftp://127.0.0.1/", _test="1"))
    assert "url" in errors(response)
    assert not hasattr(Upstream.objects.get(), "status")


def test_the_credential_goes_to_the_server_and_not_to_the_page(admin: Client, hostile_url: str) -> None:
    import httpx

    httpx.delete(f"{hostile_url}/_seen")
    row = {"header": "Authorization", "value": "Bearer upstream-secret-1"}
    data = upstream_form([row], url=f"{hostile_url}/status-401?all=1", _test="1")
    response = admin.post(ADD, data, follow=True)
    assert "refuses the gateway&#x27;s credential (HTTP 401)" in response.content.decode()
    assert "upstream-secret-1" not in response.content.decode()
    seen = httpx.get(f"{hostile_url}/_seen").json()["requests"]
    assert "Bearer upstream-secret-1" in str(seen[0]["headers"])


def test_s14_a_blank_secret_keeps_the_stored_one(admin: Client, upstream: Upstream) -> None:
    credential = UpstreamCredential.objects.create(upstream=upstream, header="X-Key", value="kept-secret-1")
    stored = UpstreamCredential.objects.get().value.token
    row = {"id": credential.pk, "upstream": upstream.pk, "header": "X-Other", "value": ""}
    assert admin.post(page(upstream), upstream_form([row], initial=1)).status_code == 302
    credential = UpstreamCredential.objects.get()
    assert (credential.header, credential.value.token) == ("X-Other", stored)
    assert credential.value.reveal() == "kept-secret-1"


def test_a_new_secret_replaces_the_stored_one(admin: Client, upstream: Upstream) -> None:
    credential = UpstreamCredential.objects.create(upstream=upstream, header="X-Key", value="old-secret-1")
    row = {"id": credential.pk, "upstream": upstream.pk, "header": "X-Key", "value": "new-secret-2"}
    assert admin.post(page(upstream), upstream_form([row], initial=1)).status_code == 302
    assert UpstreamCredential.objects.get().value.reveal() == "new-secret-2"


def test_a_new_credential_needs_a_value(admin: Client) -> None:
    response = admin.post(ADD, upstream_form([{"header": "X-Key", "value": ""}]))
    assert response.status_code == 200 and "Enter the header&#x27;s value." in response.content.decode()


@pytest.mark.parametrize("value", ["{{secret}}\r\nX: y", "a\nb", "nul\x00", "späte", "a\x0bb"])
def test_s13_a_header_value_that_could_split_is_a_form_error(admin: Client, value: str) -> None:
    response = admin.post(ADD, upstream_form([{"header": "Authorization", "value": value}]))
    assert response.status_code == 200
    assert not Upstream.objects.exists()


@pytest.mark.parametrize("header", ["Host", "content-length", "Mcp-Session-Id", "X Y", "X:Y", "X\r\nY", ""])
def test_s13_a_header_name_that_is_none_is_a_form_error(admin: Client, header: str) -> None:
    response = admin.post(ADD, upstream_form([{"header": header, "value": "v"}]))
    assert response.status_code == 200
    assert not Upstream.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://metadata.google.internal/",
        "http://100.100.100.200/",
        "http://[fd00:ec2::254]/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://[fc00::1]/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[fec0::1]/",
        "http://0x0a000001/",
        "http://167772161/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "unix:/run/x",
        "data:text/plain,x",
        "javascript:alert(1)",
        "http+unix://x/",
        "http://user:pass@127.0.0.1/",
        "http://good@evil/",
        "http://evil#good",
        "http://evil\\good/",
        "http://evil\t/",
        "http://a\nb/",
        "http://exаmple.com/",
        "http://127.0.0.1:22/",
        "http://127.0.0.1:25/",
        "http://127.0.0.1:6379/",
        "http://127.0.0.1/" + "a" * 2000,
        "http://127.0.0.1/%0d%0a\r\nX: y",
        "http:///mcp",
        "//127.0.0.1/mcp",
        "",
    ],
)
def test_s1_to_s8_a_forbidden_url_is_a_form_error(admin: Client, url: str) -> None:
    response = admin.post(ADD, upstream_form(url=url))
    assert response.status_code == 200
    assert errors(response)["url"]
    assert not Upstream.objects.exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost:8000/mcp", "http://[::1]/", "http://127.1/"])
def test_s2_loopback_is_refused_unless_the_operator_allows_it(admin: Client, settings: Any, url: str) -> None:
    settings.UPSTREAM_ALLOW = []
    response = admin.post(ADD, upstream_form(url=url))
    assert "GATEWAY_UPSTREAM_ALLOW" in str(errors(response)["url"])


@pytest.mark.parametrize(
    "slug", ["Files", "fi les", "a__b", "-a", "a-", "ﬁles", "f" * 65, "<script>", "{{7*7}}", "x\x00"]
)
def test_m2_m4_a_name_that_is_no_slug_is_a_form_error(admin: Client, slug: str) -> None:
    response = admin.post(ADD, upstream_form(slug=slug))
    assert errors(response)["slug"]


def test_m4_the_same_name_again_is_a_form_error(admin: Client, upstream: Upstream) -> None:
    assert "already exists" in str(errors(admin.post(ADD, upstream_form()))["slug"])


def test_m2_hostile_text_is_shown_escaped(admin: Client) -> None:
    text = "<script>alert(1)</script>{{7*7}}\u202e"
    admin.post(ADD, upstream_form(description=text))
    upstream = Upstream.objects.get()
    CatalogueEntry.objects.create(
        upstream=upstream, kind="tool", name="<img src=x>", description=text, definition={"name": text},
        changed_at=upstream.created_at, digest="",
    )  # fmt: skip
    for address in (page(upstream), LIST, "/admin/", "/admin/audit/", "/admin/namespaces/catalogueentry/"):
        body = admin.get(address).content.decode()
        assert "<script>alert" not in body and "<img src=x>" not in body
    entry = CatalogueEntry.objects.get()
    body = admin.get(f"/admin/namespaces/catalogueentry/{entry.pk}/change/").content.decode()
    assert "<script>alert" not in body and "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in body


def test_the_list_says_in_words_what_is_up(admin: Client, upstream: Upstream, sdk_url: str) -> None:
    live = Upstream.objects.create(slug="live", url=sdk_url)
    Upstream.objects.create(slug="off", url=sdk_url, enabled=False)
    data = {"action": "test_connection", "_selected_action": [live.pk, upstream.pk]}
    text = admin.post(LIST, data, follow=True).content.decode()
    assert "Upstream live is up" in text and "Upstream files is not usable" in text
    for state, slugs in {"up": {"live"}, "down": {"files"}, "disabled": {"off"}, "untested": set()}.items():
        found = admin.get(LIST, {"state": state}).context["cl"].result_list
        assert {row.slug for row in found} == slugs, state
    assert {row.slug for row in admin.get(LIST, {"q": "echo"}).context["cl"].result_list} == {"live"}


def test_disabling_names_what_breaks_first(admin: Client, namespace: Namespace, upstream: Upstream) -> None:
    data = {"action": "disable", "_selected_action": [upstream.pk]}
    text = admin.post(LIST, data).content.decode()
    assert "every call to /mcp/team fails" in text
    assert Upstream.objects.get().enabled
    admin.post(LIST, data | {"confirmed": "1"})
    assert not Upstream.objects.get().enabled
    admin.post(LIST, data | {"action": "enable"})
    assert Upstream.objects.get().enabled


def test_a_mounted_upstream_cannot_be_deleted_and_a_free_one_takes_its_catalogue_along(
    admin: Client, namespace: Namespace, upstream: Upstream, sdk_url: str
) -> None:
    assert "protected" in admin.get(f"{page(upstream).removesuffix('change/')}delete/").content.decode()
    admin.post(ADD, upstream_form(slug="free", url=sdk_url, _test="1"))
    free = Upstream.objects.get(slug="free")
    delete = f"{page(free).removesuffix('change/')}delete/"
    text = admin.get(delete).content.decode()
    assert "Are you sure" in text and "atalogue entry:" not in text
    assert admin.post(delete, {"post": "yes"}).status_code == 302
    assert not CatalogueEntry.objects.exists() and not Upstream.objects.filter(slug="free").exists()


def test_the_circuit_breaker_shows_in_the_list_and_on_the_page(admin: Client, upstream: Upstream) -> None:
    path = Path(settings.RUN_DIR) / circuits.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    assert 'state-ok">closed' in admin.get(LIST).content.decode()
    try:
        circuit = Breaker(CircuitTable(path), upstream.pk, Breaking(2, 60.0, 3))
        circuit.failed(0, time.monotonic())
        assert "closed, 1 failed" in admin.get(LIST).content.decode()
        circuit.failed(0, time.monotonic())
        for where in (LIST, page(upstream)):
            assert "open, next try in" in admin.get(where).content.decode()
        assert "refused at once" in admin.get(page(upstream)).content.decode()
        circuit.heed(1)
        assert "half-open" in admin.get(LIST).content.decode()
    finally:
        path.unlink()
