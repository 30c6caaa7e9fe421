"""IP addresses and networks as configuration and requests write them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network:
    """Return the network that `text` names; a single address is a network of one.

    An IPv4 network that is written as IPv6 (RFC 4291 §2.5.5.2, `::ffff:192.0.2.0/120`) is the IPv4 network. Raises
    ValueError, in a sentence, for anything else and for a network with host bits set, which is mostly a slip.
    """
    try:
        found = ipaddress.ip_network(text.strip())
    except ValueError:
        raise ValueError(
            f"{text.strip()[:64]!r} is no network; write 192.0.2.0/24, 2001:db8::/32 or one address"
        ) from None
    if isinstance(found, ipaddress.IPv6Network) and found.prefixlen >= 96 and found.network_address.ipv4_mapped:
        return ipaddress.IPv4Network((found.network_address.ipv4_mapped, found.prefixlen - 96))
    return found


def address(text: str | None) -> Address | None:
    """Return the address of a peer, an IPv4-mapped one as the IPv4 address; None for what is no address."""
    try:
        found = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def holds(networks: Iterable[Network], peer: Address | None) -> bool:
    """Return whether one of the networks holds the address; none holds a peer whose address is not known."""
    return peer is not None and any(peer.version == known.version and peer in known for known in networks)
