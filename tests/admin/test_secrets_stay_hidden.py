"""S14, P2, P22: after a day's work in the admin no secret is on any page, in any table in clear, or in any log line."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client

from keys.models import ApiKey
from namespaces.models import Namespace, Upstream, UpstreamCredential
from tests.admin.pages import grant, key_form, namespace_form, upstream_form
from tests.admin.test_key_pages import everything_stored, shown

SECRET = "hunter2-of-the-upstream"


@pytest.fixture
def worked(admin: Client, sdk_url: str, hostile_url: str, caplog: Any) -> tuple[list[str], str]:
    """Add, test, mount, issue, rotate, and change a credential; return the secrets and what was answered."""
    caplog.set_level(logging.DEBUG)
    row = {"header": "Authorization", "value": f"Bearer {SECRET}"}
    pages = [
        admin.post(
            "/admin/namespaces/upstream/add/", upstream_form([row], slug="sdk", url=sdk_url, _test="1"), follow=True
        )
    ]
    upstream = Upstream.objects.get()
    echo = upstream_form([row], slug="echo", url=f"{hostile_url}/err-leak?all=1", _test="1")
    pages.append(admin.post("/admin/namespaces/upstream/add/", echo, follow=True))
    bad = upstream_form([row | {"header": "Host"}], slug="bad")
    pages.append(admin.post("/admin/namespaces/upstream/add/", bad))
    pages.append(admin.post("/admin/namespaces/namespace/add/", namespace_form(upstream.pk), follow=True))
    issued = admin.post("/admin/keys/apikey/add/", key_form([grant(Namespace.objects.get().pk)]))
    key = ApiKey.objects.get()
    rotated = admin.post(f"/admin/keys/apikey/{key.pk}/rotate/", {"overlap": "24"})
    credential = UpstreamCredential.objects.get(upstream=upstream)
    row = {"id": credential.pk, "upstream": upstream.pk, "header": "Authorization", "value": f"Basic {SECRET}"}
    address = f"/admin/namespaces/upstream/{upstream.pk}/change/"
    pages.append(admin.post(address, upstream_form([row], initial=1, slug="sdk", url=sdk_url), follow=True))
    assert UpstreamCredential.objects.get(upstream=upstream).value.reveal() == f"Basic {SECRET}"
    return [SECRET, shown(issued), shown(rotated)], "".join(page.content.decode() for page in pages)


def test_s14_no_page_shows_a_secret(admin: Client, worked: tuple[list[str], str]) -> None:
    secrets, answered = worked
    upstreams, key = Upstream.objects.all(), ApiKey.objects.get()
    addresses = ["/admin/", "/admin/audit/", "/admin/namespaces/upstream/", "/admin/namespaces/namespace/"]
    addresses += ["/admin/keys/apikey/", "/admin/namespaces/catalogueentry/", "/admin/auth/user/"]
    addresses += [
        f"/admin/namespaces/upstream/{upstream.pk}/{page}/" for upstream in upstreams for page in ("change", "delete")
    ]
    addresses += [f"/admin/keys/apikey/{key.pk}/{page}/" for page in ("change", "delete", "rotate", "revoke")]
    addresses += [f"/admin/namespaces/namespace/{Namespace.objects.get().pk}/change/", "/admin/keys/apikey/?q=hunter2"]
    text = answered + "".join(admin.get(address, follow=True).content.decode() for address in addresses)
    assert "••••" in text
    for secret in secrets:
        assert secret not in text
        assert secret[-16:] not in text


def test_p22_no_table_holds_a_secret_in_clear(worked: tuple[list[str], str]) -> None:
    stored = everything_stored()
    assert "gAAAA" in stored  # the sealed credential
    for secret in worked[0]:
        assert secret not in stored
        assert secret[-16:] not in stored


def test_p2_no_log_line_holds_a_secret(worked: tuple[list[str], str], caplog: Any) -> None:
    records = caplog.get_records("setup")
    assert len(records) > 20
    for secret in worked[0]:
        assert not [record for record in records if secret in record.getMessage() or secret in str(vars(record))]
