"""`serve --config FILE`: what the file says about host, port and data directory, below flags and environment."""

from __future__ import annotations

import os
from pathlib import Path

import environ

_CODE = Path(__file__).resolve().parent.parent.parent


def apply(argv: list[str]) -> None:
    """Put the file's defaults into the environment, before settings are read from it.

    `argv` is the whole command line. Raises ConfigurationError when the file cannot be read.
    """
    path = _config_of(argv)
    if path is None or {"-h", "--help"} & set(argv):
        return
    from gateway_project.configuration.defaults import file_defaults

    # The .env file is environment too, so it comes first; neither overwrites what is set.
    environ.Env.read_env(os.environ.get("GATEWAY_ENV_FILE", str(_CODE / ".env")))
    for name, value in file_defaults(path).items():
        if not os.environ.get(name, "").strip():
            os.environ[name] = value


def _config_of(argv: list[str]) -> str | None:
    """Return the value of --config, in either of its spellings."""
    for index, word in enumerate(argv):
        if word == "--config":
            return argv[index + 1] if index + 1 < len(argv) else None
        if word.startswith("--config="):
            return word.partition("=")[2]
    return None
