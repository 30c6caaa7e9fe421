"""The journal's files on disk: one living file a process, locked by its writer, ended by size or age.

A file is a run of lines in COPY text format. Its lock tells the shipper whether it may still grow; it is taken
before the file gets its visible name, and the system drops it when the writer ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import uuid
from pathlib import Path

SUFFIX = ".copy"
ROTATE_BYTES = 64 << 20
ROTATE_AGE_S = 60.0


def directory_bytes(directory: Path) -> int:
    """Return how many bytes the journal files of a directory hold together, those of other processes included."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                with contextlib.suppress(FileNotFoundError):  # shipped and removed meanwhile
                    total += entry.stat().st_size
    return total


class Journal:
    """Appends whole lines to the living file of this process. Not for several threads."""

    def __init__(
        self, directory: Path, rotate_bytes: int = ROTATE_BYTES, rotate_age_s: float = ROTATE_AGE_S, fsync: bool = False
    ) -> None:
        """Take the directory (made when missing) and the size and age, in bytes and seconds, that end a file."""
        self.directory = directory
        self._rotate_bytes = rotate_bytes
        self._rotate_age_s = rotate_age_s
        self._fsync = fsync
        self._fd = -1
        self._size = 0
        self._ends_at = 0.0

    def append(self, line: bytes) -> None:
        """Append one line, newline included, or leave the file as it was.

        Raises OSError when the line could not be written whole (disk full, directory gone).
        """
        if self._fd < 0:
            self._open()
        elif self._size >= self._rotate_bytes or time.monotonic() >= self._ends_at:
            self.end_file()
            self._open()
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes were written; the disk may be full")
            if self._fsync:
                os.fdatasync(self._fd)
        except OSError:
            self._cut_back()
            raise
        self._size += written

    def end_file_if_old(self) -> None:
        """End the living file when its time is over, so that an idle process holds no shipped bytes."""
        if self._fd >= 0 and time.monotonic() >= self._ends_at:
            self.end_file()

    def end_file(self) -> None:
        """End the living file: the lock goes with it, and the shipper may remove it once it is shipped."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):  # the descriptor is gone either way
                os.close(fd)

    def _open(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(uuid.uuid4())
        hidden = self.directory / f".{name}"
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(hidden, self.directory / f"{name}{SUFFIX}")
            if self._fsync:
                self._sync_directory()
        except OSError:
            os.close(fd)
            hidden.unlink(missing_ok=True)
            raise
        self._fd, self._size = fd, 0
        self._ends_at = time.monotonic() + self._rotate_age_s

    def _sync_directory(self) -> None:
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _cut_back(self) -> None:
        """Take half a line away; where even that fails, end the file: a torn tail at the end does no harm."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self.end_file()
