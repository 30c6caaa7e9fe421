"""Where the gateway may connect to: one check of URLs, one check of addresses, for both HTTP clients."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\.?")
# Ports on which no MCP server lives but where a forged request could do harm.
_BAD_PORTS = frozenset((1, 7, 9, 19, 20, 21, 22, 23, 25, 53, 69, 110, 111, 123, 135, 139, 143, 161, 389, 445, 465,
                        587, 636, 873, 993, 995, 2049, 2375, 2376, 3306, 5432, 6379, 11211, 27017))  # fmt: skip
MAX_URL_LENGTH = 2000


class EgressError(ValueError):
    """The gateway may not connect there. `reason` is the code that logs and answers carry."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AllowList:
    """The operator's exceptions (GATEWAY_UPSTREAM_ALLOW): host names, and networks that may be private."""

    hosts: frozenset[str]
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @classmethod
    def parse(cls, entries: Iterable[str]) -> AllowList:
        """Build the list from entries such as `10.1.0.0/16`, `127.0.0.1` or `mcp.internal`.

        Raises EgressError for an entry that looks like a network but is none.
        """
        hosts: set[str] = set()
        networks = []
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                if "/" in entry or not _HOST.fullmatch(entry.lower()):
                    raise EgressError(
                        "allow_list_invalid",
                        f"GATEWAY_UPSTREAM_ALLOW: {entry!r} is neither a host name nor a network.",
                    ) from None
                hosts.add(entry.lower().rstrip("."))
        return cls(frozenset(hosts), tuple(networks))

    def covers(self, host: str, address: Address) -> bool:
        """Return whether `address`, reached under the name `host`, is an exception."""
        if host.lower().rstrip(".") in self.hosts:
            return True
        return any(address.version == network.version and address in network for network in self.networks)


@lru_cache(maxsize=8)
def _parsed(entries: tuple[str, ...]) -> AllowList:
    return AllowList.parse(entries)


def allow_list() -> AllowList:
    """Return the operator's allow list."""
    return _parsed(tuple(settings.UPSTREAM_ALLOW))


def unwrap(address: Address) -> Address:
    """Return the IPv4 address inside a mapped, 6to4, Teredo or NAT64 address, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def check_address(host: str, text: str, allowed: AllowList | None = None) -> None:
    """Raise EgressError unless `text`, an IP address that `host` resolved to, may be connected to."""
    address = ipaddress.ip_address(text.split("%", 1)[0])
    inner = unwrap(address)
    exceptions = allowed or allow_list()
    if exceptions.covers(host, inner) or exceptions.covers(host, address):
        return
    reachable = inner.is_global and not inner.is_multicast and not (address.version == 6 and address.is_site_local)
    if address in _NAT64_LOCAL or (address.version == 6 and (address.is_link_local or address.is_private)):
        reachable = False
    if not reachable:
        raise EgressError(
            "egress_denied",
            f"{host} is at {address}, which is no public address. If this server is meant to be reached, add its "
            "host name or network to GATEWAY_UPSTREAM_ALLOW and restart the gateway.",
        )


def _literal(host: str) -> Address | None:
    """Return the address that `host` spells, in any notation the C library accepts (127.1, 0x7f000001)."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    if re.fullmatch(r"(0x[0-9a-f]*|[0-9.]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?", host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
        except OSError:
            raise EgressError("url_invalid", f"{host!r} is neither a host name nor an address.") from None
    return None


def check_url(url: str) -> SplitResult:
    """Check an upstream URL by its text (no name is resolved) and return its parts.

    Raises EgressError: url_invalid for what is no plain http(s) URL, egress_denied for an address that may
    not be reached.
    """
    if len(url) > MAX_URL_LENGTH:
        raise EgressError("url_invalid", f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if not re.fullmatch(r"[\x21-\x7e]+", url) or "\\" in url:
        raise EgressError("url_invalid", "The URL may hold visible ASCII characters only (no blanks, no backslash).")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise EgressError("url_invalid", "The URL's port or host cannot be read.") from None
    if parts.scheme not in ("http", "https"):
        raise EgressError(
            "url_invalid", f"The URL begins with {parts.scheme or 'nothing'}:; http:// or https:// is needed."
        )
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise EgressError(
            "url_invalid",
            "The URL carries a user name or password; add a credential to the upstream instead.",
        )
    if parts.fragment or "#" in url:
        raise EgressError("url_invalid", "The URL has a fragment (#…), which no server ever sees; remove it.")
    host = (parts.hostname or "").lower()
    if not host:
        raise EgressError("url_invalid", "The URL names no host.")
    if port in _BAD_PORTS or port == 0:
        raise EgressError("url_invalid", f"Port {port} belongs to another service; no MCP server is reached there.")
    if (address := _literal(host)) is not None:
        check_address(host, str(address))
    elif not _HOST.fullmatch(host) or ".." in host:
        raise EgressError("url_invalid", f"{host!r} is no host name (write international names in their xn-- form).")
    elif host == "localhost" or host.endswith(".localhost"):
        check_address(host, "127.0.0.1")
    elif host in ("metadata.google.internal", "metadata"):
        check_address(host, "169.254.169.254")
    return parts


async def resolve(host: str, port: int, family: int = socket.AF_UNSPEC) -> Sequence[tuple[int, str]]:
    """Resolve `host` and check every address; return (family, address) pairs that may be connected to.

    A name with one forbidden address is refused as a whole, so that no race decides where we land.
    Raises EgressError, and OSError when the name does not resolve.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    pairs = list(dict.fromkeys((info[0], str(info[4][0])) for info in found))
    for _, address in pairs:
        check_address(host, address)
    return pairs
