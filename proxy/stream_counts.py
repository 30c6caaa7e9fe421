"""How many standing streams each key has open, over all workers of a host.

Each worker counts in a file of its own that the others only read, so no lock is needed and a killed worker's
counts go when its successor starts. Without a directory the count is this process's alone.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path

_COUNT = struct.Struct("H")
_INITIAL_KEYS = 4096
_MOST = 0xFFFF


class StreamCounts:
    """Counts by key id. `index` is this worker's number, `workers` how many there are."""

    def __init__(self, directory: Path | None, index: int = 0, workers: int = 1) -> None:
        self._directory = directory
        self._others = [number for number in range(workers) if number != index] if directory else []
        self._fd = -1
        if directory is not None:
            self._fd = os.open(self._path(index), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._table = mmap.mmap(-1, 1)
        self._keys = 0
        self._grow(_INITIAL_KEYS)

    def _path(self, index: int) -> Path:
        assert self._directory is not None  # noqa: S101
        return self._directory / f"streams-{index}"

    def _grow(self, keys: int) -> None:
        size = keys * _COUNT.size
        if self._fd >= 0:
            os.ftruncate(self._fd, size)
            table = mmap.mmap(self._fd, size)
        else:
            table = mmap.mmap(-1, size)
            table[: self._keys * _COUNT.size] = self._table[: self._keys * _COUNT.size]
        self._table, self._keys = table, keys

    def add(self, key_id: int, change: int) -> None:
        """Count a stream opened (1) or closed (-1)."""
        if key_id >= self._keys:
            self._grow(key_id * 2)
        offset = key_id * _COUNT.size
        (count,) = _COUNT.unpack_from(self._table, offset)
        _COUNT.pack_into(self._table, offset, max(0, min(_MOST, count + change)))

    def total(self, key_id: int) -> int:
        """Return how many standing streams the key has open in all workers."""
        offset = key_id * _COUNT.size
        total: int = _COUNT.unpack_from(self._table, offset)[0] if key_id < self._keys else 0
        for index in self._others:
            # A worker that is just starting has no file, or a short one, and no streams.
            with suppress(OSError), self._path(index).open("rb") as table:
                table.seek(offset)
                data = table.read(_COUNT.size)
                total += _COUNT.unpack(data)[0] if len(data) == _COUNT.size else 0
        return total

    def close(self) -> None:
        """Give the file back."""
        self._table.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
