"""Wrong credentials, counted by the address that they come from: who guesses is slowed down, who knows a key is not.

The counts lie in a file that the workers of a host share, as those of the rate limits do: a table of fixed size whose
places are found by a keyed hash of the address. When it is full, who has been quiet for longest is forgotten.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import mmap
import os
import struct
from pathlib import Path

from proxy.errors import GatewayError, Limited, Unauthenticated

BURST = 200
_KEY_BYTES = 16
_ROWS = 4096
_ENTRY = struct.Struct("=Qd")  # hash of a place, 0 for none; theoretical arrival time (GCRA)
_ROW_ENTRIES = 8
_ROW_BYTES = _ENTRY.size * _ROW_ENTRIES
_TABLE_AT = mmap.PAGESIZE  # the key of the hash stands before
_SIZE = _TABLE_AT + _ROWS * _ROW_BYTES


class Strangers:
    """A bounded table of addresses, one number each; shared through `path`, or private to this process when None.

    `alone`: no other process uses the file, so no lock is taken.
    """

    def __init__(self, per_minute: int, path: Path | None = None, *, alone: bool = False) -> None:
        self._interval_s = 60.0 / per_minute if per_minute else 0.0
        self._locks = path is not None and not alone
        self._fd = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._fd < 0:
            self._table = mmap.mmap(-1, _SIZE)
            self._table[:_KEY_BYTES] = os.urandom(_KEY_BYTES)
        else:
            self._table = self._shared()
        # Nobody outside can tell which addresses share a row.
        self._key = self._table[:_KEY_BYTES]

    def _shared(self) -> mmap.mmap:
        """Map the file; the first process makes it."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, 0)
        try:
            is_new = os.fstat(self._fd).st_size < _SIZE
            os.ftruncate(self._fd, _SIZE)
            table = mmap.mmap(self._fd, _SIZE)
            if is_new:
                table[:_KEY_BYTES] = os.urandom(_KEY_BYTES)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, 0)
        return table

    def judge(self, error: Unauthenticated, address: str | None, now: float) -> GatewayError:
        """Count a refusal and return it, or Limited when too many came from there.

        Args: now: seconds of the monotonic clock, which all processes share. A missing credential is no guess and
        is not counted.
        """
        if not self._interval_s or address is None or error.reason == "credential_missing":
            return error
        wait_s = self._count(_place(address), now)
        if wait_s <= 0:
            return error
        return Limited(
            "Too many wrong credentials came from this address; try again later.",
            reason="too_many_failures",
            headers=((b"retry-after", b"%d" % max(1, -int(-wait_s // 1))),),
            data={"retryAfterMs": int(wait_s * 1000) + 1},
        )

    def _count(self, place: str, now: float) -> float:
        """Count one failure of a place and return 0, or the seconds to wait when there were too many already."""
        digest = hashlib.blake2b(place.encode(), key=self._key, digest_size=12).digest()
        row = int.from_bytes(digest[:4], "little") % _ROWS
        name = int.from_bytes(digest[4:], "little") or 1
        offset = _TABLE_AT + row * _ROW_BYTES
        if self._locks:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, _ROW_BYTES, offset)
        try:
            entry, arrival = self._find(offset, name)
            # A value from before a reboot (the clock began anew) or beyond any burst counts as none.
            if arrival < now or arrival > now + (BURST + 1) * self._interval_s:
                arrival = now
            due = arrival + self._interval_s
            wait_s = due - now - BURST * self._interval_s
            if wait_s > 1e-9:
                return wait_s
            _ENTRY.pack_into(self._table, entry, name, due)
            return 0.0
        finally:
            if self._locks:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, _ROW_BYTES, offset)

    def _find(self, offset: int, name: int) -> tuple[int, float]:
        """Return where a place stands in its row, and its number; else whose entry it takes over, and 0."""
        quietest, least = offset, float("inf")
        for entry in range(offset, offset + _ROW_BYTES, _ENTRY.size):
            found, arrival = _ENTRY.unpack_from(self._table, entry)
            if found == name:
                return entry, arrival
            if arrival < least:
                quietest, least = entry, arrival
        return quietest, 0.0

    def close(self) -> None:
        """Give the file back."""
        self._table.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _place(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or an IPv6 network of 64 bits, which one host may own."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return address
