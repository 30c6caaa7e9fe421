"""The client's address is the right-most one that no trusted proxy wrote, and nobody else is believed (P28, H8)."""

from __future__ import annotations

from collections.abc import Callable

from tests.gateway import Gateway, wait_for

FORWARDED = {
    "nothing": ({}, "127.0.0.1"),
    "one": ({"X-Forwarded-For": "198.51.100.7"}, "198.51.100.7"),
    "a forged first one": ({"X-Forwarded-For": "203.0.113.66, 198.51.100.7"}, "198.51.100.7"),
    "a second proxy of ours": ({"X-Forwarded-For": "203.0.113.66, 198.51.100.7, 10.1.2.3"}, "198.51.100.7"),
    "another header": ({"X-Real-IP": "203.0.113.66", "Forwarded": "for=203.0.113.66"}, "127.0.0.1"),
}


def seen_addresses(gateway: Gateway) -> dict[str, str]:
    """Send every form to a page and to /mcp; return the address on record by request id."""
    for number, (headers, _) in enumerate(FORWARDED.values()):
        gateway.get("/admin/login/", headers=headers | {"X-Request-Id": f"page-{number}"})
        gateway.get("/mcp/x", headers=headers | {"X-Request-Id": f"call-{number}"})

    def records() -> dict[str, str]:
        lines = gateway.log_records("gateway.access") + gateway.log_records("gateway.call")
        return {str(line["request_id"]): str(line["client_ip"]) for line in lines}

    return wait_for(lambda: found if len(found := records()) >= 2 * len(FORWARDED) else None, 10)


def test_behind_a_trusted_proxy(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(env={"GATEWAY_TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8"})
    expected = {}
    for number, (_, address) in enumerate(FORWARDED.values()):
        expected |= {f"page-{number}": address, f"call-{number}": address}
    assert seen_addresses(gateway) == expected


def test_without_a_trusted_proxy(make_gateway: Callable[..., Gateway]) -> None:
    assert set(seen_addresses(make_gateway()).values()) == {"127.0.0.1"}


def test_a_public_https_address_makes_cookies_secure_and_its_host_known(make_gateway: Callable[..., Gateway]) -> None:
    public = "https://mcp.example.com"
    gateway = make_gateway(env={"GATEWAY_TRUSTED_PROXIES": "127.0.0.1", "GATEWAY_PUBLIC_URL": public})
    page = gateway.get("/admin/login/", headers={"Host": "mcp.example.com", "X-Forwarded-Proto": "https"})
    assert page.status_code == 200
    assert "Secure" in page.headers["set-cookie"]
    assert gateway.get("/admin/login/", headers={"Host": "evil.example.com"}).status_code == 400
