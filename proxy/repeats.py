"""The identical-call breaker: an agent that makes the same call again and again is stuck, and is told so.

The same call is the same key, namespace, tool and arguments, compared by a keyed hash, which is all that is kept.
The counts lie in a file that every worker of a host maps; where too many different calls come, the oldest count is
given up.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import mmap
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.errors import Limited

_ROW = struct.Struct("16sdQ")  # hash, when its window began, how many calls were let in
_WAYS = 4
_BUCKETS = 1 << 14


@dataclass(frozen=True, slots=True)
class RepeatLimit:
    """At most `most` identical calls within `window_s` seconds from the first of them."""

    most: int
    window_s: float


class Repeats:
    """The table. Args: path: the shared file, or None; peppers: the installation's secrets; alone: no other process."""

    def __init__(self, path: Path | None, peppers: Sequence[str], *, alone: bool = False) -> None:
        self._locks = path is not None and not alone
        self._key = hmac.digest(peppers[0].encode(), b"identical calls", "sha256")
        size = _BUCKETS * _WAYS * _ROW.size
        self._fd = -1
        if path is not None:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._fd, size)
        self._table = mmap.mmap(self._fd, size)

    def check(self, limit: RepeatLimit, key_id: int, namespace_id: int, tool: str, arguments: Any) -> None:
        """Count a call. Raises Limited when it is one too many."""
        call = json.dumps([key_id, namespace_id, tool, arguments], sort_keys=True, separators=(",", ":"))
        digest = hashlib.blake2b(call.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()
        wait_s = self.admit(digest, limit, time.monotonic())
        if wait_s > 0:
            raise Limited(
                f"The tool was called with the very same arguments {limit.most} times within {limit.window_s:g} s; the"
                " answer will not change. Do something else, or wait.",
                reason="identical_calls",
                headers=((b"retry-after", b"%d" % max(1, -int(-wait_s // 1))),),
                data={"retryAfterMs": int(wait_s * 1000) + 1},
            )

    def admit(self, digest: bytes, limit: RepeatLimit, now: float) -> float:
        """Return 0 and count the call if it fits, else the seconds until it would; `now`: the monotonic clock."""
        bucket = int.from_bytes(digest[:4], "little") % _BUCKETS
        if self._locks:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, bucket)
        try:
            return self._admit(bucket * _WAYS * _ROW.size, digest, limit, now)
        finally:
            if self._locks:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, bucket)

    def _admit(self, bucket: int, digest: bytes, limit: RepeatLimit, now: float) -> float:
        oldest, oldest_began = bucket, now
        for row in range(bucket, bucket + _WAYS * _ROW.size, _ROW.size):
            known, began, count = _ROW.unpack_from(self._table, row)
            if began > now:
                began = 0.0  # from before the machine started anew
            if known == digest and count and now - began < limit.window_s:
                if count >= limit.most:
                    return float(began + limit.window_s - now)
                _ROW.pack_into(self._table, row, digest, began, count + 1)
                return 0.0
            if known == digest or not count:
                began = -1.0  # its window is over, or it was never used
            if began < oldest_began:
                oldest, oldest_began = row, began
        _ROW.pack_into(self._table, oldest, digest, now, 1)
        return 0.0

    def close(self) -> None:
        """Give the file back; the table goes with this object."""
        self._locks = False
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
