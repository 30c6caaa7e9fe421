"""The three secrets of an installation: read from the environment, a file, or made once in the data directory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured


def make_token() -> str:
    """Return 43 URL-safe characters (256 random bits)."""
    return secrets.token_urlsafe(32)


def make_fernet_key() -> str:
    """Return a new Fernet key, base64 text."""
    return Fernet.generate_key().decode()


def resolve(name: str, directory: Path, make: Callable[[], str], may_make: bool) -> str:
    """Return the secret called `name`.

    Looked for in the variable `name`, in the file that `name_FILE` points to, and in `directory`
    (file named after the secret, mode 0600), where it is made when `may_make` is true.

    Raises ImproperlyConfigured, naming the variable, when the secret is nowhere or empty.
    """
    if value := os.environ.get(name, "").strip():
        return value
    if path := os.environ.get(f"{name}_FILE", "").strip():
        return _read(Path(path), name)
    kept = directory / name.removeprefix("GATEWAY_").lower()
    if kept.exists():
        return _read(kept, name)
    if not may_make:
        raise ImproperlyConfigured(
            f"{name} is not set. With DATABASE_URL set no secret is made up: set {name} or {name}_FILE "
            f"(a new value: python -c 'from gateway_project.local_secrets import *; print({make.__name__}())')."
        )
    return _create(kept, make())


def _read(path: Path, name: str) -> str:
    try:
        value = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: cannot read {path}: {error.strerror}.") from None
    if not value:
        raise ImproperlyConfigured(f"{name}: the file {path} is empty.")
    return value


def _create(path: Path, value: str) -> str:
    """Write `value` so that a second process starting now reads the same one (link(2) does not overwrite)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(value + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        value = path.read_text().strip()
    finally:
        draft.unlink()
    return value
