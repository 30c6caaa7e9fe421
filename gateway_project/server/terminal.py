"""What `serve` says to the person who started it: progress with elapsed time, then one aligned banner."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

_BOLD, _DIM, _GREEN, _RED, _PLAIN = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m"


class Terminal:
    """Writes to stdout; colours only when that is a terminal and NO_COLOR is not set."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def progress(self, step: str) -> None:
        """Name the step that begins now."""
        self._print(self._coloured(_DIM, f"  {self.elapsed_s():5.1f} s  {step}"))

    def warn(self, text: str) -> None:
        """Say what is not fatal but wants attention."""
        self._print(f"  {self._coloured(_RED, 'note')}     {text}")

    def banner(self, title: str, rows: Sequence[tuple[str, str]], after: Sequence[str] = ()) -> None:
        """Print a title, aligned name-value rows, and lines that stand alone, such as commands to paste."""
        width = max(len(name) for name, _ in rows)
        lines = ["", self._coloured(_BOLD + _GREEN, title), ""]
        lines += [f"  {self._coloured(_BOLD, name.ljust(width))}  {value}" for name, value in rows]
        lines += ["", *after] if after else []
        self._print("\n".join([*lines, ""]))

    @staticmethod
    def _print(text: str) -> None:
        with suppress(OSError):  # whoever read this has gone; the gateway goes on
            print(text, flush=True)

    def _coloured(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self.colours else text
