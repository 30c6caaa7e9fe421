"""From where keys and namespaces may be used, in the admin's forms."""

from __future__ import annotations

import pytest
from django.test import Client

from keys.models import ApiKey
from namespaces.models import Namespace, Upstream
from tests.admin.pages import key_form, namespace_form
from tests.admin.test_namespace_pages import errors

pytestmark = pytest.mark.django_db
NAMESPACE, KEY = "/admin/namespaces/namespace/add/", "/admin/keys/apikey/add/"


@pytest.fixture
def upstream() -> Upstream:
    return Upstream.objects.create(slug="files", url="http://127.0.0.1:47/mcp")


def test_networks_are_written_one_a_line(admin: Client, upstream: Upstream) -> None:
    lines = "192.0.2.0/24\n\n 2001:db8::/32 \n192.0.2.0/24"
    admin.post(NAMESPACE, namespace_form(upstream.pk, addresses_mode="listed", addresses_listed=lines))
    namespace = Namespace.objects.get()
    assert namespace.addresses_listed == ["192.0.2.0/24", "2001:db8::/32"]
    assert namespace.allows_address("192.0.2.9") and not namespace.allows_address("198.51.100.1")
    admin.post(KEY, key_form(addresses_mode="listed", addresses_listed="198.51.100.1"))
    key = ApiKey.objects.get()
    assert key.allows_address("198.51.100.1") and not key.allows_address("192.0.2.9")


@pytest.mark.parametrize(
    "line", ["192.0.2.1/24", "192.0.2.0/33", "office", "192.0.2.*", "2001:db8::/129", "0x7f000001"]
)
def test_what_is_no_network_is_a_form_error(admin: Client, upstream: Upstream, line: str) -> None:
    response = admin.post(NAMESPACE, namespace_form(upstream.pk, addresses_mode="listed", addresses_listed=line))
    assert "is no network" in str(errors(response)["addresses_listed"])
    response = admin.post(KEY, key_form(addresses_mode="listed", addresses_listed=line))
    assert "is no network" in str(errors(response)["addresses_listed"])
    assert not Namespace.objects.exists() and not ApiKey.objects.exists()


def test_too_many_networks_are_a_form_error(admin: Client, upstream: Upstream) -> None:
    lines = "\n".join(f"10.0.{number}.0/24" for number in range(201))
    response = admin.post(NAMESPACE, namespace_form(upstream.pk, addresses_mode="listed", addresses_listed=lines))
    assert "at most 200" in str(errors(response)["addresses_listed"])


def test_an_empty_list_lets_nobody_in(admin: Client, upstream: Upstream) -> None:
    admin.post(NAMESPACE, namespace_form(upstream.pk, addresses_mode="listed"))
    namespace = Namespace.objects.get()
    assert namespace.networks() == () and not namespace.allows_address("127.0.0.1")
