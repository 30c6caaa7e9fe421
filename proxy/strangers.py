"""Wrong credentials, counted by the address that they come from: who guesses is slowed down, who knows a key is not."""

from __future__ import annotations

import ipaddress

from proxy.errors import GatewayError, Limited, Unauthenticated

BURST = 200
_ADDRESSES = 10_000


class Strangers:
    """A bounded table of addresses, one number each (GCRA, as the rate limits have it); private to its process."""

    def __init__(self, per_minute: int) -> None:
        self._interval_s = 60.0 / per_minute if per_minute else 0.0
        self._arrivals: dict[str, float] = {}

    def judge(self, error: Unauthenticated, address: str | None, now: float) -> GatewayError:
        """Count a refusal and return it, or Limited when too many came from there.

        Args: now: seconds of the monotonic clock. A missing credential is no guess and is not counted.
        """
        if not self._interval_s or address is None or error.reason == "credential_missing":
            return error
        place = _place(address)
        due = max(self._arrivals.get(place, now), now) + self._interval_s
        wait_s = due - now - BURST * self._interval_s
        if wait_s > 0:
            return Limited(
                "Too many wrong credentials came from this address; try again later.",
                reason="too_many_failures",
                headers=((b"retry-after", b"%d" % max(1, -int(-wait_s // 1))),),
                data={"retryAfterMs": int(wait_s * 1000) + 1},
            )
        if place not in self._arrivals and len(self._arrivals) >= _ADDRESSES:
            self._forget(now)
        self._arrivals[place] = due
        return error

    def _forget(self, now: float) -> None:
        """Drop the addresses that have been quiet, and the older half of the others if none has."""
        kept = {place: arrival for place, arrival in self._arrivals.items() if arrival > now}
        self._arrivals = kept if len(kept) < _ADDRESSES else dict(list(kept.items())[_ADDRESSES // 2 :])


def _place(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or an IPv6 network of 64 bits, which one host may own."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return address
