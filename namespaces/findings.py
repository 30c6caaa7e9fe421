"""What a probe starts from and what it found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from namespaces.models import EntryKind, Upstream


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server lists of one kind. `complete` is false when a cap or an error cut it short."""

    items: tuple[dict[str, Any], ...] = ()
    complete: bool = True
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found. `reason` is a code, empty when all is well; `message` is a sentence for an admin."""

    ok: bool
    message: str
    reason: str = ""
    era: str = ""
    protocol_version: str = ""
    server_name: str = ""
    server_version: str = ""
    latency_ms: float | None = None  # of the fastest round trip
    listings: Mapping[str, Listing] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def tool_count(self) -> int | None:
        """How many tools the server lists; None when it was not asked."""
        listing = self.listings.get(EntryKind.TOOL)
        return None if listing is None else len(listing.items)


@dataclass(frozen=True, slots=True)
class Target:
    """Everything a probe needs to know of an upstream, read from the database beforehand."""

    url: str
    era: str
    headers: Mapping[str, str] = field(repr=False)
    connect_timeout_s: float
    first_byte_timeout_s: float
    max_bytes: int

    @classmethod
    def of(cls, upstream: Upstream) -> Target:
        """Read an upstream and its credentials. Raises UndecryptableError."""
        return cls(
            url=upstream.url,
            era=upstream.era,
            headers={row.header: row.value.reveal() for row in upstream.credentials.all()},
            connect_timeout_s=upstream.connect_timeout_s or settings.CONNECT_TIMEOUT_S,
            first_byte_timeout_s=upstream.first_byte_timeout_s or settings.FIRST_BYTE_TIMEOUT_S,
            max_bytes=upstream.max_response_bytes or settings.MAX_RESPONSE_BYTES,
        )

    def scrub(self, text: str) -> str:
        """Return foreign text without our credentials, should the server have echoed one."""
        for value in self.headers.values():
            for secret in {value, value.rpartition(" ")[2]}:
                if len(secret) >= 4:
                    text = text.replace(secret, "••••")
        return text
