"""Fixtures of the configuration tests: files to write, commands to run, and what they printed."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Ran:
    """What a command printed, and the error that it stopped with."""

    out: str
    err: str
    error: str

    @property
    def everything(self) -> str:
        return self.out + self.err + self.error


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a configuration file and returns its path."""

    def written(text: str | bytes, name: str = "gateway.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.fixture
def run() -> Callable[..., Ran]:
    """Return a function that runs a management command."""

    def ran(*arguments: object) -> Ran:
        out, err, error = io.StringIO(), io.StringIO(), ""
        try:
            call_command(*(str(argument) for argument in arguments), stdout=out, stderr=err, no_color=True)
        except CommandError as raised:
            error = str(raised)
        return Ran(out.getvalue(), err.getvalue(), error)

    return ran
