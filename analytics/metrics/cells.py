"""Numbers that survive their process: each worker counts in a file of its own, and whoever asks adds the files up.

A count is one 8-byte float in a mapped file, so it costs a tenth of a microsecond and outlives `kill -9`. The next
worker takes over a file that nobody holds any more and counts on: no count is lost and none goes backwards. Beside it
stands a file of lines that say what each number is. Without a directory the numbers are this process's alone.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path

CELLS = 1 << 17
# Room that is kept for the series of last resort, which take what no longer fits.
_RESERVE = 1 << 10
_WIDTH = 8
OTHER = "other"
Labels = tuple[str, ...]
Series = Mapping[tuple[str, Labels], tuple[float, ...]]


class Cells:
    """The numbers of one process. One writer: the event loop's thread.

    `values` is indexed by what `find` returns; `values[cell] += 1` is the whole cost of counting.
    """

    def __init__(self, directory: Path | None = None) -> None:
        """Take over the first file of `directory` (made when missing) that no living process holds."""
        self.directory = directory
        self._found: dict[tuple[str, Labels], tuple[int, int]] = {}
        self._used = 0
        self._fd = self._names_fd = -1
        if directory is None:
            self._map = mmap.mmap(-1, CELLS * _WIDTH)
        else:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._take(directory)
            self._read_names(_names_of(path))
            self._map = mmap.mmap(self._fd, CELLS * _WIDTH)
        self.values = memoryview(self._map).cast("d")

    def _take(self, directory: Path) -> Path:
        for number in itertools.count():
            path = directory / f"cells-{number}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            os.ftruncate(fd, CELLS * _WIDTH)  # sparse: only what is counted takes room
            self._fd = fd
            return path
        raise AssertionError("unreachable")

    def _read_names(self, path: Path) -> None:
        self._names_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        whole = b""
        while part := os.pread(self._names_fd, 1 << 20, len(whole)):
            whole += part
        kept = whole[: whole.rfind(b"\n") + 1]
        os.ftruncate(self._names_fd, len(kept))  # a line that its writer did not live to end
        for line in kept.splitlines():
            family, width, *labels = json.loads(line)
            self._found[family, tuple(labels)] = self._used, width
            self._used += width

    def find(self, family: str, labels: Labels = (), width: int = 1) -> int:
        """Return the index of the first of `width` cells of a series; a new one begins at 0.

        When the file is full, everything further counts under the label `other`.
        """
        known = self._found.get((family, labels))
        if known is not None:
            return known[0]
        last_resort = (OTHER,) * len(labels)
        if self._used + width > CELLS - _RESERVE and labels != last_resort:
            return self.find(family, last_resort, width)
        if self._used + width > CELLS:
            raise RuntimeError("the file of metrics has no room for another family")
        if self._names_fd >= 0:
            os.write(self._names_fd, json.dumps([family, width, *labels]).encode() + b"\n")
        first = self._used
        self._found[family, labels] = first, width
        self._used += width
        return first

    def series(self) -> Series:
        """Return what this process has counted."""
        # A copy first: the event loop may add series meanwhile.
        return {
            key: tuple(self.values[first : first + width].tolist()) for key, (first, width) in list(self._found.items())
        }

    def close(self) -> None:
        """Give the file back; the numbers stay in it for the next process."""
        self.values.release()
        self._map.close()
        for fd in (self._fd, self._names_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._names_fd = -1


def _names_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.names")


def read(directory: Path) -> list[Series]:
    """Return what every process of the host has counted, the dead ones included, file by file."""
    paths = [path for path in directory.glob("cells-*") if path.suffix != ".names"]
    return [_read_file(path) for path in sorted(paths)]


def _read_file(path: Path) -> Series:
    names = _names_of(path)
    lines = names.read_bytes().split(b"\n")[:-1] if names.exists() else []
    described = [json.loads(line) for line in lines]
    with path.open("rb") as file:
        values = memoryview(file.read(sum(width for _, width, *_ in described) * _WIDTH)).cast("d")
    found: dict[tuple[str, Labels], tuple[float, ...]] = {}
    first = 0
    for family, width, *labels in described:
        found[family, tuple(labels)] = tuple(values[first : first + width].tolist())
        first += width
    return found


class _OfProcess:
    """What this process can tell: the cells that its data plane opened, or the directory of other processes'."""

    cells: Cells | None = None
    directory: Path | None = None


def open_for_process(directory: Path | None) -> Cells:
    """Open this process's cells and remember them for `everything`."""
    _OfProcess.cells = Cells(directory)
    return _OfProcess.cells


def tell_of(directory: Path) -> None:
    """Have `everything` tell what other processes count in `directory`; this one counts nothing."""
    _OfProcess.directory = directory


def shared_directory() -> Path | None:
    """Return where the processes of this host count; None where this one counts for itself, or nobody does."""
    own = _OfProcess.cells
    return _OfProcess.directory if own is None else own.directory


def everything() -> list[Series]:
    """Return what the processes of this host have counted, as far as this process can know."""
    directory, own = shared_directory(), _OfProcess.cells
    if directory is not None:
        return read(directory)
    return [] if own is None else [own.series()]
