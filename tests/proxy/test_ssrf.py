"""Where the gateway connects to (group S at connect time): checked addresses only, whatever a name resolves to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from namespaces import egress
from tests.gateway import Gateway, wait_for
from tests.proxy.plane import KEYS, Caller, expect_refused, tool_call

# S1 to S4: metadata services, loopback in its spellings, private networks, wrapped addresses.
FORBIDDEN = [
    *("169.254.169.254", "100.100.100.200", "[fd00:ec2::254]", "127.0.0.1", "[::1]", "0.0.0.0", "[::]", "127.1"),
    *("2130706433", "0x7f000001", "017700000001", "127.0.0.1.", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
    *("[fc00::1]", "[fe80::1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]"),
    *("[fec0::1]", "[2001:0:4136:e378:8000:63bf:5601:5601]", "255.255.255.255", "224.0.0.1", "[ff02::1]"),
    *("localhost", "sub.localhost", "metadata.google.internal", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
]
PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16")]
OURSELVES = socket.gethostname().lower()
private_v4 = st.sampled_from(PRIVATE).flatmap(lambda network: st.ip_addresses(v=4, network=str(network)))


def _wrappings(address: ipaddress.IPv4Address) -> list[str]:
    number = int(address)
    return [
        str(address),
        f"::ffff:{address}",
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1)),
        str(ipaddress.IPv6Address((0x64FF9B << 96) | number)),
        str(ipaddress.IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF))),
    ]


@given(private_v4)
def test_no_wrapping_makes_a_private_address_public(address: ipaddress.IPv4Address) -> None:
    nothing = egress.AllowList.parse([])
    for text in _wrappings(address):
        with pytest.raises(egress.EgressError):
            egress.check_address("name.example", text, nothing)


@given(st.ip_addresses())
@example(ipaddress.ip_address("8.8.8.8"))
@example(ipaddress.ip_address("2606:4700::1111"))
def test_only_global_addresses_pass(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    try:
        egress.check_address("name.example", str(address), egress.AllowList.parse([]))
    except egress.EgressError as error:
        assert error.reason == "egress_denied"
    else:
        assert address.is_global and not address.is_multicast and not address.is_private


@given(private_v4)
def test_the_allow_list_lets_through_what_it_names_and_nothing_else(address: ipaddress.IPv4Address) -> None:
    egress.check_address("anything.example", str(address), egress.AllowList.parse([f"{address}/32"]))
    egress.check_address("named.internal.", str(address), egress.AllowList.parse(["Named.Internal"]))
    for others in (["203.0.113.0/24"], ["other.internal"], ["internal"]):
        with pytest.raises(egress.EgressError):
            egress.check_address("named.internal", str(address), egress.AllowList.parse(others))


def _answering(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> None:
    """Let the system's resolver give these addresses, one list a question, the last for ever."""
    left = list(rounds)

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_s5_a_name_with_one_private_address_is_refused_whole(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.UPSTREAM_ALLOW = []
    for addresses in (["8.8.8.8", "127.0.0.1"], ["169.254.169.254", "8.8.8.8"]):
        _answering(monkeypatch, addresses)
        with pytest.raises(egress.EgressError):
            await egress.resolve("two.example", 80)


async def test_s5_a_name_is_checked_at_every_connection(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.UPSTREAM_ALLOW = []
    _answering(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    assert await egress.resolve("rebinding.example", 80) == [(socket.AF_INET, "8.8.8.8")]
    with pytest.raises(egress.EgressError):
        await egress.resolve("rebinding.example", 80)


async def test_a_name_of_the_allow_list_may_be_private(settings: Any) -> None:
    settings.UPSTREAM_ALLOW = ["localhost"]
    assert {address for _, address in await egress.resolve("localhost", 80)} <= {"127.0.0.1", "::1"}


@pytest.fixture(scope="module")
def strict(plane_upstreams: dict[str, str], start_gateway: Callable[..., Gateway]) -> Caller:
    """Return a caller of a gateway that may connect to public addresses only.

    Its upstreams get their URLs behind the back of every form, as a hostile or an older row would have them.
    """
    slugs = [f"s{number}" for number in range(len(FORBIDDEN))]
    config = {
        "upstreams": {slug: {"url": "https://public.example/mcp"} for slug in [*slugs, "named"]},
        "namespaces": {slug: {"upstream": slug} for slug in [*slugs, "named"]},
        "keys": [{"key": KEYS["alice"], "user_id": "alice", "all_namespaces": True}],
    }
    gateway = start_gateway(config=config, env={"GATEWAY_UPSTREAM_ALLOW": "192.0.2.1", "GATEWAY_PROBE_INTERVAL_S": "0"})
    port = urlsplit(plane_upstreams["hostile"]).port
    for slug, host in [*zip(slugs, FORBIDDEN, strict=True), ("named", OURSELVES)]:
        gateway.query("UPDATE namespaces_upstream SET url = %s WHERE slug = %s", f"http://{host}:{port}/canary", slug)
    caller = Caller(gateway, plane_upstreams)
    wait_for(lambda: caller.post("s0", tool_call()).reason == "egress_denied", 20)
    return caller


@pytest.mark.parametrize("host", FORBIDDEN)
def test_s1_to_s4_a_row_with_a_forbidden_address_connects_nowhere(strict: Caller, host: str) -> None:
    strict.forget("hostile")
    answer = strict.post(f"s{FORBIDDEN.index(host)}", tool_call())
    expect_refused(answer, [502], [-32603])
    assert answer.reason in ("egress_denied", "url_invalid")
    assert host.strip("[]") not in answer.message["error"]["message"]
    assert strict.seen("hostile")["requests"] == []


def test_s5_a_name_that_resolves_to_a_private_address_is_refused_at_connect_time(strict: Caller) -> None:
    try:
        address = ipaddress.ip_address(socket.gethostbyname(OURSELVES))
    except OSError:
        pytest.skip("this machine's name does not resolve")
    if address.is_global:
        pytest.skip("this machine's name resolves to a public address")
    strict.forget("hostile")
    answer = strict.post("named", tool_call())
    expect_refused(answer, [502], [-32603])
    assert answer.reason == "egress_denied"
    assert strict.seen("hostile")["requests"] == []


def test_s9_no_proxy_of_the_environment_is_used(caller: Caller) -> None:
    caller.forget("hostile")
    for _ in range(3):
        assert caller.post("echo", tool_call()).status == 200
    assert caller.seen("hostile")["requests"] == []
